"""A sweep one of whose workers is killed in mid-trial, and what its runs left in each backend."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import unitrack
from unitrack.runfolder.run_folder import RunFolder

WITHIN_S = 100.0
STEPS = 6
CUT = 3
"""Steps that the victim logs before it waits to be killed."""
RATES = [0.125, 0.5, 0.75]
"""Exact in TensorBoard's 32 bits."""


class Left(NamedTuple):
    """A run as one backend has it."""

    status: str
    points: list[tuple[int, float]]


def train(run: Any, lr: float, folder: str) -> None:
    """Log a step after the other. The first process that trains with lr=0.5 waits, half way, to be killed."""
    for step in range(STEPS):
        if lr == 0.5 and step == CUT and _claim(Path(folder) / "victim"):
            time.sleep(WITHIN_S)
        run.log_metrics({"loss": lr * (STEPS - step)}, step=step)


def _claim(path: Path) -> bool:
    """Write the pid of this process to a file; return whether it was the first one to."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return False
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    return True


def expected(lr: float, steps: int) -> list[tuple[int, float]]:
    """The points of a trial that came so far."""
    return [(step, lr * (STEPS - step)) for step in range(steps)]


def sweep_and_kill(executor: Any, root: Path) -> Any:
    """Run a sweep with three sinks in two workers, kill one of them, and return the result once all is delivered."""
    killer = threading.Thread(target=_kill_when_there, args=(root / "victim",), daemon=True)
    killer.start()
    result = unitrack.sweep(
        train,
        {"lr": RATES, "folder": str(root)},
        strategy="grid",
        name="killed",
        executor=executor,
        workers=2,
        project="digits",
        sinks=[
            "local",
            {"mlflow": {"tracking_uri": f"sqlite:///{root / 'mlflow.db'}"}},
            {"tensorboard": {"logdir": str(root / "tensorboard")}},
        ],
        root=root / "runs",
        config={"tracking": {"finish_timeout": WITHIN_S, "courier_nice": 0}},
    )
    killer.join(1)
    assert not killer.is_alive()
    _wait_for_delivery(root / "runs")
    return result


def _kill_when_there(file: Path) -> None:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        if file.exists() and (pid := file.read_text()):
            os.kill(int(pid), signal.SIGKILL)
            return
        time.sleep(0.02)


def _wait_for_delivery(root: Path) -> None:
    """Wait until each run is complete in each of its sinks."""
    end = time.monotonic() + WITHIN_S
    while left := [path for path in root.iterdir() if (path / ".spool").exists()]:
        if time.monotonic() > end:
            raise TimeoutError(f"not delivered: {left}")
        time.sleep(0.1)


def folders(root: Path) -> dict[str, RunFolder]:
    """Of each trial's run, by its id."""
    found = [RunFolder(path) for path in (root / "runs").iterdir() if (path / ".unitrack" / "run.json").exists()]
    starts = {folder: folder.read_manifest().run for folder in found}
    return {start.run_id: folder for folder, start in starts.items() if start.job_type == "trial"}


def in_local_files(root: Path) -> dict[str, Left]:
    """The trials' runs by their ids, as the files say."""
    found = {}
    for run_id, folder in folders(root).items():
        metadata = json.loads((folder.path / "metadata.json").read_text())
        lines = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
        found[run_id] = Left(metadata["status"], [(line["step"], line["metrics"]["loss"]) for line in lines])
    return found


def in_mlflow(root: Path) -> dict[str, Left]:
    """The same, read with MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    [experiment] = [one for one in client.search_experiments() if one.name == "digits"]
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        history = client.get_metric_history(run.info.run_id, "loss")
        points = sorted((point.step, point.timestamp, point.value) for point in history)
        found[run.data.tags["unitrack.run_id"]] = Left(
            run.info.status.lower(), [(step, value) for step, _, value in points]
        )
    return {run_id: found[run_id] for run_id in folders(root)}


def in_tensorboard(root: Path) -> dict[str, Left]:
    """The same, read with TensorBoard's own reader; it has no status."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for run_id, folder in folders(root).items():
        accumulator = EventAccumulator(str(root / "tensorboard" / folder.path.name), size_guidance={"scalars": 0})
        accumulator.Reload()
        tags = accumulator.Tags()["scalars"]
        points = [(event.step, event.value) for event in accumulator.Scalars("loss")] if "loss" in tags else []
        found[run_id] = Left("", points)
    return found
