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
    from unitrack.current import (
        current_run,
        define_metric,
        log,
        log_artifact,
        log_artifacts,
        log_audio,
        log_code,
        log_dict,
        log_environment,
        log_figure,
        log_histogram,
        log_html,
        log_image,
        log_metric,
        log_metrics,
        log_model,
        log_param,
        log_params,
        log_table,
        log_text,
        log_video,
        set_tags,
    )
    from unitrack.experiment_tracker import MAX_ARTIFACT_SIZE, ExperimentTracker, safe_log_artifact
    from unitrack.media_values import Audio, Figure, Histogram, Html, Image, Table, Video
    from unitrack.runs.comparing import compare_experiments
    from unitrack.tracker import LocalExperimentTracker, MLflowTracker, Tracker
    from unitrack.validation import validate_metric

_HOMES = {
    "config": ["ExperimentConfig"],
    "current": [
        "current_run",
        "define_metric",
        "log",
        "log_artifact",
        "log_artifacts",
        "log_audio",
        "log_code",
        "log_dict",
        "log_environment",
        "log_figure",
        "log_histogram",
        "log_html",
        "log_image",
        "log_metric",
        "log_metrics",
        "log_model",
        "log_param",
        "log_params",
        "log_table",
        "log_text",
        "log_video",
        "set_tags",
    ],
    "experiment_tracker": ["MAX_ARTIFACT_SIZE", "ExperimentTracker", "safe_log_artifact"],
    "media_values": ["Audio", "Figure", "Histogram", "Html", "Image", "Table", "Video"],
    "runs.comparing": ["compare_experiments"],
    "tracker": ["LocalExperimentTracker", "MLflowTracker", "Tracker"],
    "validation": ["validate_metric"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "MAX_ARTIFACT_SIZE",
    "ArtifactNotFoundError",
    "Audio",
    "ConfigError",
    "DeliveryError",
    "DeliveryReport",
    "DeliveryWarning",
    "ExperimentConfig",
    "ExperimentTracker",
    "Figure",
    "Histogram",
    "Html",
    "Image",
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
    "Table",
    "Tracker",
    "UnitrackError",
    "Video",
    "compare_experiments",
    "current_run",
    "define_metric",
    "hookimpl",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_audio",
    "log_code",
    "log_dict",
    "log_environment",
    "log_figure",
    "log_histogram",
    "log_html",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "log_video",
    "runs",
    "safe_log_artifact",
    "set_tags",
    "start_run",
    "validate_metric",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what not every training needs when it is asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'unitrack' has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(f"unitrack.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
