"""One log call, every tracker: MLflow, Weights & Biases, TensorBoard and plain local files.

Write it once::

    import unitrack

    with unitrack.start_run("training-v1", sinks=["local", "tensorboard"]) as run:
        run.log_params({"lr": 1e-3, "model": {"depth": 4}})
        for step in range(1000):
            run.log_metrics({"loss": loss}, step=step)
        run.log_artifact("model.pt")

The backends are configuration: without `sinks`, they come from `unitrack.yaml` or the environment. A log call appends a
line to a journal and returns; courier processes deliver it. So a dead server can't slow training down, and a killed
process loses nothing: `unitrack status` shows the pending records, `unitrack sync` delivers them.
"""

import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("unitrack runs on Linux and macOS, not on Windows: use it inside WSL (`wsl --install`)")

from unitrack.delivery.report import DeliveryReport, SinkReport
from unitrack.errors import (
    AlertWarning,
    ArtifactNotFoundError,
    ConfigError,
    DeliveryError,
    DeliveryWarning,
    InvalidTypeError,
    InvalidValueError,
    JournalError,
    MissingPackageError,
    NoActiveRunError,
    QueryError,
    RunExistsError,
    RunFinishedError,
    SweepError,
    TrialPruned,
    UnitrackError,
)
from unitrack.hookspecs import Link, hookimpl
from unitrack.run.run import Run
from unitrack.run.start import start_run

if TYPE_CHECKING:
    from unitrack.capture.starting import start_capture as capture
    from unitrack.config import ExperimentConfig
    from unitrack.integrations.automatic.switch import autolog
    from unitrack.manager.comparison import compare
    from unitrack.manager.copying import copy
    from unitrack.manager.exporting import export
    from unitrack.manager.verification import verify
    from unitrack.reading import runs
    from unitrack.reading.comparison import compare_experiments
    from unitrack.reading.sql_query import sql
    from unitrack.run.current import (
        alert,
        current_run,
        define_metric,
        log,
        log_artifact,
        log_artifacts,
        log_audio,
        log_checkpoint,
        log_code,
        log_dataset,
        log_dict,
        log_embedding,
        log_environment,
        log_figure,
        log_graph,
        log_histogram,
        log_hparams,
        log_html,
        log_image,
        log_metric,
        log_metrics,
        log_model,
        log_param,
        log_params,
        log_pr_curve,
        log_table,
        log_text,
        log_video,
        set_tags,
        unwatch,
        watch,
    )
    from unitrack.run.experiment_tracker import MAX_ARTIFACT_SIZE, ExperimentTracker, safe_log_artifact
    from unitrack.run.media_values import Audio, Figure, Histogram, Html, Image, Table, Video
    from unitrack.run.seeding import seed_everything
    from unitrack.run.tracker import LocalExperimentTracker, MLflowTracker, Tracker
    from unitrack.run.using import use_artifact
    from unitrack.sweeps.grid_sweep import run_sweep
    from unitrack.sweeps.sweeping import sweep
    from unitrack.validation import validate_metric

_HOMES = {
    "config": ["ExperimentConfig"],
    "integrations.automatic.switch": ["autolog"],
    "manager.comparison": ["compare"],
    "manager.verification": ["verify"],
    "run.current": [
        "alert",
        "current_run",
        "define_metric",
        "log",
        "log_artifact",
        "log_artifacts",
        "log_audio",
        "log_checkpoint",
        "log_code",
        "log_dataset",
        "log_dict",
        "log_embedding",
        "log_environment",
        "log_figure",
        "log_graph",
        "log_histogram",
        "log_hparams",
        "log_html",
        "log_image",
        "log_metric",
        "log_metrics",
        "log_model",
        "log_param",
        "log_params",
        "log_pr_curve",
        "log_table",
        "log_text",
        "log_video",
        "set_tags",
        "unwatch",
        "watch",
    ],
    "run.experiment_tracker": ["MAX_ARTIFACT_SIZE", "ExperimentTracker", "safe_log_artifact"],
    "run.media_values": ["Audio", "Figure", "Histogram", "Html", "Image", "Table", "Video"],
    "manager.copying": ["copy"],
    "manager.exporting": ["export"],
    "reading": ["runs"],
    "reading.sql_query": ["sql"],
    "reading.comparison": ["compare_experiments"],
    "run.using": ["use_artifact"],
    "run.seeding": ["seed_everything"],
    "run.tracker": ["LocalExperimentTracker", "MLflowTracker", "Tracker"],
    "sweeps.grid_sweep": ["run_sweep"],
    "sweeps.sweeping": ["sweep"],
    "validation": ["validate_metric"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "MAX_ARTIFACT_SIZE",
    "AlertWarning",
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
    "QueryError",
    "Run",
    "RunExistsError",
    "RunFinishedError",
    "SinkReport",
    "SweepError",
    "Table",
    "Tracker",
    "TrialPruned",
    "UnitrackError",
    "Video",
    "alert",
    "autolog",
    "capture",
    "compare",
    "compare_experiments",
    "copy",
    "current_run",
    "define_metric",
    "export",
    "hookimpl",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_audio",
    "log_checkpoint",
    "log_code",
    "log_dataset",
    "log_dict",
    "log_embedding",
    "log_environment",
    "log_figure",
    "log_graph",
    "log_histogram",
    "log_hparams",
    "log_html",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_pr_curve",
    "log_table",
    "log_text",
    "log_video",
    "run_sweep",
    "runs",
    "safe_log_artifact",
    "seed_everything",
    "set_tags",
    "sql",
    "start_run",
    "sweep",
    "unwatch",
    "use_artifact",
    "validate_metric",
    "verify",
    "watch",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return a public name that not every training needs, and import its module first."""
    import importlib  # noqa: PLC0415  # importlib is needed only for these names

    if name in ("sweeps", "capture"):  # `unitrack.sweeps.uniform` needs no import; `unitrack.capture` can be called
        return importlib.import_module(f"unitrack.{name}")
    if name in ("load_ipython_extension", "unload_ipython_extension"):  # for `%load_ext unitrack`
        return getattr(importlib.import_module("unitrack.notebook"), name)
    if name not in _HOME_OF:
        raise AttributeError(f"module 'unitrack' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"unitrack.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
