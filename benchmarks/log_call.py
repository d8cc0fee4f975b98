"""What one log call costs the calling thread."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.table import Table
from runs import HungDelivery, NoDelivery, start

from unitrack import Run

ROUNDS = 15
CALLS = 2000
SLOW_CALLS = 60  # a round of a client that needs 100 us or more

Call = Callable[[int], object]
ONE = {"loss": 0.31234}
TEN = {f"metric_{number}": 0.31234 + number for number in range(10)}


def run(folder: Path) -> Table:
    """Measure all clients in interleaved rounds."""
    with ExitStack() as stack:
        calls: dict[str, Call] = {
            "os.write of the same bytes": stack.enter_context(_bare_write(folder)),
            "unitrack, 1 metric, no sink": stack.enter_context(_ours(folder, ONE, NoDelivery)),
            "unitrack, 10 metrics, no sink": stack.enter_context(_ours(folder, TEN, NoDelivery)),
            "unitrack, 1 metric, 4 hung sinks": stack.enter_context(_ours(folder, ONE, HungDelivery)),
            "unitrack, 1 metric, 4 sinks": stack.enter_context(_ours(folder, ONE, None)),
            "TensorBoard EventFileWriter": stack.enter_context(_tensorboard(folder)),
            "wandb offline run.log": stack.enter_context(_wandb(folder)),
            "mlflow.log_metrics on SQLite": stack.enter_context(_mlflow(folder)),
        }
        slow = {"wandb offline run.log", "mlflow.log_metrics on SQLite"}
        times: dict[str, list[int]] = {name: [] for name in calls}
        medians: dict[str, list[float]] = {name: [] for name in calls}
        step = 0
        for _ in range(ROUNDS):
            for name, call in calls.items():
                count = SLOW_CALLS if name in slow else CALLS
                spent = _time(call, step, count)
                times[name] += spent
                medians[name].append(statistics.median(spent))
            step += CALLS
            time.sleep(0.3)  # the couriers' turn: training computes between log calls
    table = Table("client", "p50 us", "p99 us", "x os.write", title="one log call, on the calling thread")
    floor = statistics.median(medians["os.write of the same bytes"])
    for name in calls:
        p50 = statistics.median(medians[name])
        p99 = sorted(times[name])[len(times[name]) * 99 // 100]
        table.add_row(name, f"{p50 / 1000:.2f}", f"{p99 / 1000:.1f}", f"{p50 / floor:.1f}")
    return table


def _time(call: Call, first_step: int, count: int) -> list[int]:
    clock = time.perf_counter_ns
    spent = []
    for step in range(first_step, first_step + count):
        before = clock()
        call(step)
        spent.append(clock() - before)
    return spent


@contextmanager
def _bare_write(folder: Path) -> Iterator[Call]:
    line = b'373808b7 {"kind":"metrics","seq":100000,"time":1760000000000,"step":100000,"metrics":{"loss":0.31234}}\n'
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    write = os.write
    yield lambda step: write(descriptor, line)
    os.close(descriptor)


@contextmanager
def _ours(folder: Path, metrics: dict[str, float], delivery: type | None) -> Iterator[Call]:
    four = [
        "local",
        "tensorboard",
        {"wandb": {"mode": "offline"}},
        {"mlflow": {"tracking_uri": f"sqlite:///{folder}/ours.db"}},
    ]
    run: Run = start(folder / "runs", ["local"] if delivery else four, delivery)
    yield lambda step: run.log_metrics(metrics, step=step)
    run.finish(timeout=0 if delivery else 120)


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Call]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "tensorboard"))

    def call(step: int) -> None:
        value = Summary.Value(tag="loss", simple_value=0.31234)
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    yield call
    writer.close()


@contextmanager
def _wandb(folder: Path) -> Iterator[Call]:
    import wandb

    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    run = wandb.init(project="bench", mode="offline", dir=folder, settings=settings)
    yield lambda step: run.log(ONE, step=step)
    run.finish()


@contextmanager
def _mlflow(folder: Path) -> Iterator[Call]:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/peer.db")
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        yield lambda step: mlflow.log_metrics(ONE, step=step)
