"""How fast a lane delivers to each backend, beside the backend's own client in a loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.table import Table
from runs import deliver

POINTS = 20_000
PEER_POINTS = {"mlflow": 300, "wandb": 20_000, "tensorboard": 20_000}
ROUNDS = 3


def run(folder: Path) -> Table:
    """Points a second through a lane (journal to confirmed end of run), and through the SDK; the best of rounds."""
    table = Table("backend", "lane us/point", "SDK us/point", "times faster", title="delivery")
    sinks: dict[str, dict[str, str]] = {
        "mlflow": {"tracking_uri": f"sqlite:///{folder}/ours.db"},
        "tensorboard": {},
        "wandb": {"mode": "offline"},
    }
    peers: dict[str, Callable[[Path, int], float]] = {"mlflow": _mlflow, "tensorboard": _tensorboard, "wandb": _wandb}
    for backend, options in sinks.items():
        deliver(folder / "runs", {backend: options}, 10)  # imports, and the database's tables
        peers[backend](folder, 10)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(deliver(folder / "runs", {backend: options}, POINTS) / POINTS)
            count = PEER_POINTS[backend]
            theirs.append(peers[backend](folder, count) / count)
        table.add_row(backend, f"{min(ours) * 1e6:.1f}", f"{min(theirs) * 1e6:.1f}", f"{min(theirs) / min(ours):.1f}")
    return table


def _mlflow(folder: Path, points: int) -> float:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/peer.db")
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        before = time.perf_counter()
        for step in range(points):
            mlflow.log_metrics({"loss": step * 0.5}, step=step)
        return time.perf_counter() - before


def _wandb(folder: Path, points: int) -> float:
    import wandb

    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    run = wandb.init(project="bench", mode="offline", dir=folder, settings=settings)
    before = time.perf_counter()
    for step in range(points):
        run.log({"loss": step * 0.5}, step=step)
    run.finish()
    return time.perf_counter() - before


def _tensorboard(folder: Path, points: int) -> float:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / f"tensorboard-{time.time_ns()}"))
    before = time.perf_counter()
    for step in range(points):
        value = Summary.Value(tag="loss", simple_value=step * 0.5)
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.close()
    return time.perf_counter() - before
