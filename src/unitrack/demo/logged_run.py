"""The demo's run: train, log each step, measure what logging costs and how long delivery takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import msgspec

from unitrack.config import resolve
from unitrack.delivery.report import DeliveryReport
from unitrack.demo.points import ACCURACY, LOSS, Points
from unitrack.demo.sinks import SinkEntry
from unitrack.demo.training import Step, Training
from unitrack.errors import DeliveryWarning
from unitrack.hookspecs import Link
from unitrack.records import flatten
from unitrack.run.run import Run
from unitrack.run.start import start_resolved
from unitrack.runfolder.run_folder import RunFolder

PROJECT = "unitrack-demo"
_FINISH_TIMEOUT_S = 180.0  # a cold `import mlflow` and a new database on a busy machine; usually it takes 10 s


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What the run logged, and what was measured meanwhile."""

    path: Path
    params: int
    points: Points
    artifacts: int
    call_ns: list[int]
    """What each `log_metrics` call took."""
    training_ns: int
    """What all steps took, logging included."""
    lags: dict[str, float | None]
    """By sink: seconds from the last log call until it had confirmed everything; None if it has not."""
    report: DeliveryReport
    links: dict[str, Link]


def log_training(training: Training, sinks: list[SinkEntry], folder: Path, show: Callable[[Step], None]) -> Logged:
    """Train and log. `show` is called after each step. Takes no configuration but this."""
    call = {
        "experiment": {"name": "digits", "project": PROJECT, "tags": {"task": "classification", "data": "digits"}},
        "tracking": {"sinks": sinks, "root": str(folder)},
    }
    run = start_resolved(resolve({}, call=call, environ={}), params=training.params)
    points: Points = {}
    call_ns: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeliveryWarning)  # the demo's table says it
        with run:
            began = time.perf_counter_ns()
            for step in training:
                metrics = {LOSS: step.loss, ACCURACY: step.accuracy}
                before = time.perf_counter_ns()
                run.log_metrics(metrics, step=step.number)
                call_ns.append(time.perf_counter_ns() - before)
                points |= {(name, step.number): value for name, value in metrics.items()}
                show(step)
            training_ns = time.perf_counter_ns() - began
            run.set_tags({"accuracy": f"{step.accuracy:.3f}"})
            run.log_figure(training.confusion_figure(), "confusion.png")
            run.log_model(training.model)
            logged_at = time.time()
            report = run.finish(timeout=_FINISH_TIMEOUT_S)
    return Logged(
        path=run.path,
        params=len(flatten(training.params)),
        points=points,
        artifacts=2,
        call_ns=call_ns,
        training_ns=training_ns,
        lags={name: _lag(run, name, report, logged_at) for name in report.sinks},
        report=report,
        links=run.links(),
    )


def _lag(run: Run, sink: str, report: DeliveryReport, logged_at: float) -> float | None:
    """Return the seconds until the sink confirmed the end of the run, when its ledger is written for the last time."""
    if report[sink].state != "complete":
        return None
    return max(0.0, RunFolder(run.path).ledger_file(sink).stat().st_mtime - logged_at)
