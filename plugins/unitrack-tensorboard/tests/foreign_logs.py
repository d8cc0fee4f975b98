"""Event files as other programs write them, built from TensorBoard's own protos: a function for each kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.util.tensor_util import make_tensor_proto

from unitrack_tensorboard.tfrecord import frame

FILE = "events.out.tfevents.1700000000.host.1.0"


def _scalar(step: int, **values: float) -> Event:
    event = Event(wall_time=1.7e9 + step % 1000 / 7, step=step)
    for tag, value in values.items():
        event.summary.value.add(tag=tag, simple_value=value)
    return event


def _tensor(step: int, tag: str, value: object, *, named: bool) -> Event:
    event = Event(wall_time=1.7e9 + step % 1000 / 7, step=step)
    added = event.summary.value.add(tag=tag, metadata=create_summary_metadata("", "") if named else None)
    added.tensor.CopyFrom(make_tensor_proto(value))
    return event


def torch() -> Iterator[Event]:
    """One value an event, as `SummaryWriter.add_scalar` and tensorboardX write it."""
    for step in range(400):
        yield _scalar(step, **{"train/loss": step / 3})
        if step % 10 == 0:
            yield _scalar(step, **{"val/loss": step / 7})
            yield _scalar(step, **{"val/äcc": -step})


def many_in_one_event() -> Iterator[Event]:
    """As Keras of old and unitrack do."""
    for step in range(300):
        yield _scalar(step, a=step, b=step / 3, **{"c" * 130: 1e-9})


def tensorflow() -> Iterator[Event]:
    """Tensors that name their plugin in each event, as `tf.summary.scalar`."""
    for step in range(300):
        yield _tensor(step, "loss", np.float32(step / 3), named=True)
        yield _tensor(step, "double", np.float64(step / 3), named=True)


def plugin_named_once() -> Iterator[Event]:
    """Tensors of all types, of which only the first says its plugin."""
    for step in range(100):
        for type_ in (np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_):
            yield _tensor(step, type_.__name__, type_(step % 2), named=step == 0)


def steps_of_all_sizes() -> Iterator[Event]:
    for power in range(63):
        for step in (2**power - 1, 2**power):
            yield _scalar(step, x=power)


def out_of_order() -> Iterator[Event]:
    """Repeated, late and random steps."""
    steps = [*range(100), *range(50, 150), 7, 7, 7, *random.Random(1).sample(range(1000), 200)]
    for number, step in enumerate(steps):
        yield _scalar(step, x=number, y=-number) if number % 3 else _scalar(step, x=number)


def restarted() -> Iterator[Event]:
    """Training that began again at an earlier step, and says so."""
    yield from (_scalar(step, x=step) for step in range(100))
    yield Event(wall_time=1.7e9, step=50, session_log=SessionLog(status=SessionLog.START))
    yield from (_scalar(step, x=-step) for step in range(50, 120))


def not_finite() -> Iterator[Event]:
    for step in range(60):
        yield _scalar(step, x=(float("nan"), float("inf"), float("-inf"), -0.0)[step % 4])


def many_tags() -> Iterator[Event]:
    """A tag for nearly each point, of few lengths."""
    for step in range(2000):
        yield _scalar(step % 5, **{f"layer{step // 2:05}/{'w' * (step % 3)}": step})


def a_tag_twice_in_one_event() -> Iterator[Event]:
    for step in range(20):
        event = _scalar(step, x=1)
        event.summary.value.add(tag="x", simple_value=2)
        yield event


KINDS: list[Callable[[], Iterator[Event]]] = [
    torch,
    many_in_one_event,
    tensorflow,
    plugin_named_once,
    steps_of_all_sizes,
    out_of_order,
    restarted,
    not_finite,
    many_tags,
    a_tag_twice_in_one_event,
]


def write(folder: Path, events: Iterator[Event], name: str = FILE) -> Path:
    """Write an event file, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    header = Event(wall_time=1.7e9, file_version="brain.Event:2")
    path.write_bytes(b"".join(frame(event.SerializeToString()) for event in (header, *events)))
    return path
