"""One log call, every tracker: MLflow, Weights & Biases, TensorBoard and plain local files.

Write it once::

    import unitrack

    with unitrack.start_run("training-v1", sinks=["local", "tensorboard"]) as run:
        run.log_params({"lr": 1e-3, "model": {"depth": 4}})
        for step in range(1000):
            run.log_metrics({"loss": loss}, step=step)
        run.log_artifact("model.pt")

Which backends receive it is configuration: leave `sinks` out, and `unitrack.yaml` or the environment says. A log call
appends a line to a journal and returns; courier processes deliver it. So a dead server can't slow training down, and a
killed process loses nothing: `unitrack status` shows what is pending, `unitrack sync` delivers it.
"""

import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("unitrack runs on Linux and macOS, not on Windows: use it inside WSL (`wsl --install`)")

from unitrack.delivery.report import DeliveryReport, SinkReport
from unitrack.errors import (
    ArtifactNotFoundError,
    ConfigError,
    DeliveryError,
    DeliveryWarning,
    InvalidTypeError,
    InvalidValueError,
    JournalError,
    MissingPackageError,
    NoActiveRunError,
    RunExistsError,
    RunFinishedError,
    UnitrackError,
)
from unitrack.hookspecs import Link, hookimpl
from unitrack.run import Run
from unitrack.runs import runs
from unitrack.start import start_run

if TYPE_CHECKING:
    from unitrack.config import ExperimentConfig
    from unitrack.tracker import LocalExperimentTracker, MLflowTracker, Tracker

__all__ = [
    "ArtifactNotFoundError",
    "ConfigError",
    "DeliveryError",
    "DeliveryReport",
    "DeliveryWarning",
    "ExperimentConfig",
    "InvalidTypeError",
    "InvalidValueError",
    "JournalError",
    "Link",
    "LocalExperimentTracker",
    "MLflowTracker",
    "MissingPackageError",
    "NoActiveRunError",
    "Run",
    "RunExistsError",
    "RunFinishedError",
    "SinkReport",
    "Tracker",
    "UnitrackError",
    "hookimpl",
    "runs",
    "start_run",
]
__version__ = "0.1.0"

_HOMES = {
    "ExperimentConfig": "config",
    "LocalExperimentTracker": "tracker",
    "MLflowTracker": "tracker",
    "Tracker": "tracker",
}


def __getattr__(name: str) -> Any:
    """Import what not every training needs when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'unitrack' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"unitrack.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
