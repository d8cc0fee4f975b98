"""Training code as users write it, for mypy: what it infers of unitrack's calls, and what it refuses.

Nothing here is run. A line with an ignore is a mistake that mypy must find: an ignore that is not needed is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import unitrack
from unitrack import DeliveryReport, ExperimentTracker, Link, Run, SinkReport


def train() -> None:
    """A run as a context manager, and what is logged to it."""
    with unitrack.start_run(
        "training-v1",
        project="digits",
        sinks=["local", {"mlflow": {"tracking_uri": "sqlite:///mlflow.db"}}],
        tags={"team": "nlp"},
    ) as run:
        assert_type(run, Run)
        run.log_params({"lr": 1e-3, "model": {"depth": 4}})
        run.log_metrics({"loss": 0.5, "acc": 1}, step=0)
        run.log_metric("lr", 1e-3)
        run.log({"loss": 0.5, "sample": unitrack.Image("sample.png", caption="a seven")})
        run.log_artifact(Path("model.pt"), "weights/")
        run.log_image("sample.png", "sample", step=3)
        run.define_metric("val/*", step_metric="epoch", summary="min")
        run.set_tags(["baseline"])
        run.summary["best"] = 0.97
        assert_type(run.summary["best"], float)
        assert_type(run.path, Path)
        assert_type(run.links(), dict[str, Link])
    report = run.finish()
    assert_type(report, DeliveryReport)
    assert_type(report.ok, bool)
    assert_type(report.sinks["local"], SinkReport)


def mistakes(run: Run) -> None:
    """Each of these raises when it is run."""
    unitrack.start_run("a", resume="maybe")  # type: ignore[arg-type]
    unitrack.start_run("a", delivery="carrier pigeon")  # type: ignore[arg-type]
    run.log_metrics({1: 0.5})  # type: ignore[dict-item]
    run.log_metrics({"loss": 0.5}, step="3")  # type: ignore[arg-type]
    run.finish("done")  # type: ignore[arg-type]
    run.log_text(b"bytes", "notes.txt")  # type: ignore[arg-type]
    run.log_everything()  # type: ignore[attr-defined]
    run.path = Path("elsewhere")  # type: ignore[misc]


def resume(checkpoint: Mapping[str, Any]) -> Run:
    """Going on from a checkpoint."""
    run = unitrack.start_run(run_id=checkpoint["unitrack"]["run_id"], resume="must")
    run.load_state_dict(checkpoint["unitrack"])
    assert_type(run.state_dict(), dict[str, Any])
    return run


def without_a_handle(loss: float) -> None:
    """Code far from the handle."""
    unitrack.log_metrics({"loss": loss}, step=3)
    assert_type(unitrack.current_run(), Run | None)


class Callback:
    """A callback of a framework that takes any tracker."""

    def __init__(self, tracker: ExperimentTracker) -> None:
        self.tracker = tracker

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Log what the framework reports."""
        self.tracker.log_metrics(logs, step=epoch)


def trackers() -> None:
    """The trackers are one interface."""
    Callback(unitrack.Tracker({"tracking": {"sinks": ["local"]}}))
    Callback(unitrack.MLflowTracker("sqlite:///mlflow.db", "digits"))
    run_id = unitrack.LocalExperimentTracker("experiments").start_run("a")
    assert_type(run_id.upper(), str)
    Callback("local")  # type: ignore[arg-type]


def read() -> None:
    """Runs of any backend."""
    runs = unitrack.runs("mlflow:sqlite:///mlflow.db")
    for run in runs:
        assert_type(run.name, str)
    found = runs.find("training-v1")
    assert_type([point.value for point in found.history("loss")], list[float])
    unitrack.runs(3)  # type: ignore[arg-type]
