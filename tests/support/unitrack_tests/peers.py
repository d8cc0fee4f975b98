"""The same loop of rows on plain trackers, as their documents say, and their readers. For `unitrack_tests.zygote`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from unitrack_tests.trainer import Report


class Peer(NamedTuple):
    """A tracker beside us."""

    row: str
    module: str
    """What a zygote imports first."""
    train: str
    """`module:function`, which takes `root` and `pause`."""
    read: Callable[[Path], set[int]]
    """The steps of the rows that are there."""


def train_on_wandb(report: Report, root: str, pause: float) -> None:
    """W&B offline."""
    import wandb

    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    run = wandb.init(project="peer", mode="offline", dir=root, settings=settings)
    _log_rows(report, pause, lambda step: run.log({"loss": step / 7}, step=step))


def read_wandb(root: Path) -> set[int]:
    """From the `.wandb` file; the SDK ships no reader of it, so that of our plugin."""
    from unitrack.records import Metrics
    from unitrack_wandb.source import open_source

    source = open_source(str(root))
    rows = (record for run in source.runs() for record in source.records(run.run_id))
    return {record.step for record in rows if isinstance(record, Metrics)}


def train_on_mlflow(report: Report, root: str, pause: float) -> None:
    """MLflow on SQLite, in the database beside the folder; the run has the folder's name."""
    import mlflow

    place = Path(root)
    mlflow.set_tracking_uri(_database(place))
    mlflow.start_run(run_name=place.name)
    _log_rows(report, pause, lambda step: mlflow.log_metrics({"loss": step / 7}, step=step))


def read_mlflow(root: Path) -> set[int]:
    """By MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(_database(root))
    [run] = client.search_runs(["0"], f"attributes.run_name = '{root.name}'")
    return {metric.step for metric in client.get_metric_history(run.info.run_id, "loss")}


def _database(place: Path) -> str:
    return f"sqlite:///{place.parent / 'mlflow.db'}"


def train_on_tensorboard(report: Report, root: str, pause: float) -> None:
    """TensorBoard's own writer, which torch's `SummaryWriter` has below it."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(root)

    def row(step: int) -> None:
        value = Summary.Value(tag="loss", simple_value=step / 7)
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    _log_rows(report, pause, row)


def read_tensorboard(root: Path) -> set[int]:
    """By the reader of `tensorboard --logdir`, every point."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(root), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {event.step for event in accumulator.Scalars("loss")} if "loss" in accumulator.Tags()["scalars"] else set()


def _log_rows(report: Report, pause: float, log: Callable[[int], object]) -> None:
    report(b"started\n")
    step = 0
    while True:
        log(step)
        report(b"metrics %d\n" % step)
        step += 1
        time.sleep(pause)


PEERS = {
    "wandb": Peer("W&B offline, by itself", "wandb", "unitrack_tests.peers:train_on_wandb", read_wandb),
    "mlflow": Peer("MLflow on SQLite, by itself", "mlflow", "unitrack_tests.peers:train_on_mlflow", read_mlflow),
    "tensorboard": Peer(
        "TensorBoard's `EventFileWriter`, by itself",
        "tensorboard.summary.writer.event_file_writer",
        "unitrack_tests.peers:train_on_tensorboard",
        read_tensorboard,
    ),
}
