"""What one log call costs the calling thread."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from rich.table import Table
from runs import HungDelivery, NoDelivery, start

from unitrack import Run

ROUNDS = 15
CALLS = 2000
PEER_CALLS = 60  # a round of clients that need up to 10 ms a call

Call = Callable[[int], object]
Client = AbstractContextManager[Call]
ONE = {"loss": 0.31234}
TEN = {f"metric_{number}": 0.31234 + number for number in range(10)}


def run(folder: Path) -> Table:
    """Measure ours, then the peers, whose background threads would else take their turns in our calls."""
    floor = "os.write of the same bytes"
    ours: dict[str, Client] = {
        floor: _bare_write(folder),
        "unitrack, 1 metric, no sink": _ours(folder, ONE, NoDelivery),
        "unitrack, 10 metrics, no sink": _ours(folder, TEN, NoDelivery),
        "unitrack, 1 metric, 4 hung sinks": _ours(folder, ONE, HungDelivery),
    }
    # Four couriers at work share the processor with the measured one, so the same call without sinks runs beside.
    delivering: dict[str, Client] = {
        "unitrack, 1 metric, 4 sinks at work": _ours(folder, ONE, None),
        "  the same without sinks, beside them": _ours(folder, ONE, NoDelivery),
    }
    peers: dict[str, Client] = {
        "TensorBoard EventFileWriter": _tensorboard(folder),
        "wandb offline run.log": _wandb(folder),
        "mlflow.log_metrics on SQLite": _mlflow(folder),
    }
    measured = _measure(ours, CALLS) | _measure(delivering, CALLS) | _measure(peers, PEER_CALLS)
    table = Table("client", "p50 us", "p99 us", "x os.write", title="one log call, on the calling thread")
    for name, (p50, p99) in measured.items():
        table.add_row(name, f"{p50 / 1000:.2f}", f"{p99 / 1000:.1f}", f"{p50 / measured[floor][0]:.1f}")
    return table


def _measure(clients: dict[str, Client], count: int) -> dict[str, tuple[float, float]]:
    """Median of the rounds' medians, and the 99th percentile of all calls, in ns; rounds are interleaved."""
    times: dict[str, list[int]] = {name: [] for name in clients}
    medians: dict[str, list[float]] = {name: [] for name in clients}
    with ExitStack() as stack:
        calls = {name: stack.enter_context(client) for name, client in clients.items()}
        for number in range(ROUNDS):
            for name, call in calls.items():
                spent = _time(call, number * count, count)
                times[name] += spent
                medians[name].append(statistics.median(spent))
            time.sleep(0.3)  # the couriers' turn: training computes between log calls
    return {
        name: (statistics.median(medians[name]), sorted(spent)[len(spent) * 99 // 100]) for name, spent in times.items()
    }


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
