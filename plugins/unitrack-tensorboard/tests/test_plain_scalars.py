"""Events that are decoded together have the points that the protobuf parser finds in each, whatever their bytes."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import foreign_logs
import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_FLOAT

from unitrack.records import MAX_TIME, RunStart
from unitrack_tensorboard import event_reader
from unitrack_tensorboard.event_reader import EventReader
from unitrack_tensorboard.points import Points
from unitrack_tensorboard.source import TensorBoardSource
from unitrack_tensorboard.tfrecord import frame


def points_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    reader = EventReader()
    found = Points.join(batch.points for batch in reader.read([path]))
    by_tag: dict[str, list[tuple[object, ...]]] = {}
    for _, tag, *point in zip(*(column.tolist() for column in found), strict=True):
        by_tag.setdefault(reader.tags.names[tag], []).append(tuple(map(repr, point)))
    return by_tag


def one_by_one(data: bytes, starts: np.ndarray, ends: np.ndarray):
    yield np.arange(len(starts)), None, None


def samples() -> list[bytes]:
    kinds = (
        foreign_logs.torch,
        foreign_logs.many_in_one_event,
        foreign_logs.tensorflow,
        foreign_logs.plugin_named_once,
    )
    return [event.SerializeToString() for kind in kinds for event in islice(kind(), 30, 37)]


def mutated(event: bytes, rng: random.Random) -> bytes:
    found = bytearray(event)
    place = rng.randrange(len(found))
    if rng.random() < 0.7:
        found[place] = rng.choice((0, 1, 8, 9, 0x0A, 0x12, 0x7F, 0x80, 0xFF, found[place] ^ 1, rng.randrange(256)))
    else:
        found[place:place] = rng.choice((b"\x10\x05", b"\x80", bytes(found[place : place + 6])))
    return bytes(found)


@pytest.mark.parametrize("seed", range(20))
def test_mutated_events_are_read_as_protobuf_does(tmp_path, monkeypatch, seed):
    rng = random.Random(seed)
    events = []
    for event in samples():
        for _ in range(rng.randrange(3)):
            event = mutated(event, rng)
        events += [mutated(event, rng) if rng.random() < 0.2 else event for _ in range(12)]
    path = tmp_path / "events"
    path.write_bytes(b"".join(map(frame, events)))
    together = points_of(path)
    monkeypatch.setattr(event_reader, "groups", one_by_one)
    assert together == points_of(path)


def test_a_signaling_nan_and_times_beyond_all_clocks_are_read(tmp_path):
    event = Event(wall_time=1.0, step=1)
    event.summary.value.add(tag="x", simple_value=0.0)
    frames = []
    for time in (float("nan"), float("inf"), -1e300, 1e17):
        event.wall_time = time
        frames += [frame(event.SerializeToString()[:-4] + b"\x01\x00\x80\x7f")] * 10
    path = tmp_path / "run" / "events.out.tfevents.1"
    path.parent.mkdir()
    path.write_bytes(b"".join(frames))
    columns = TensorBoardSource(str(tmp_path)).columns("run")["x"]
    assert set(map(repr, columns.values)) == {"nan"}
    assert list(columns.times) == [0] * 10 + [MAX_TIME] * 10 + [-MAX_TIME] * 10 + [MAX_TIME] * 10


def test_a_tensor_that_promises_a_terabyte_takes_no_memory(tmp_path):
    event = Event(wall_time=1.0, step=1)
    for plugin in ("scalars", "histograms"):
        value = event.summary.value.add(tag=plugin)
        value.metadata.plugin_data.plugin_name = plugin
        value.tensor.dtype = DT_FLOAT
        value.tensor.float_val.append(1.0)
        for _ in range(2):
            value.tensor.tensor_shape.dim.add(size=10**6)
    path = tmp_path / "run" / "events.out.tfevents.1"
    path.parent.mkdir()
    path.write_bytes(frame(event.SerializeToString()))
    assert [type(record) for record in TensorBoardSource(str(tmp_path)).records("run")] == [RunStart]
