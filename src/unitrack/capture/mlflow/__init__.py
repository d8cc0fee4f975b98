"""`from unitrack.capture import mlflow`: MLflow's fluent logging functions, as runs of unitrack alone.

They need neither the SDK nor a server. `unitrack capture --replace mlflow` puts this module in the place of the SDK.
What reads from a store, or manages one, is not here: docs/reference/capture.md says of each name whether it works.
"""

from __future__ import annotations

from typing import Any, NoReturn

from unitrack.capture.mlflow.client import MlflowClient
from unitrack.capture.mlflow.exceptions import MlflowException
from unitrack.capture.mlflow.flavors import FLAVORS, REASON, Flavor
from unitrack.capture.mlflow.public_names import MLFLOW
from unitrack.capture.mlflow.runs import (
    ActiveRun,
    active_run,
    create_experiment,
    end_run,
    get_artifact_uri,
    get_run,
    get_tracking_uri,
    last_active_run,
    set_experiment,
    set_tracking_uri,
    start_run,
)
from unitrack.capture.mlflow.values import (
    autolog,
    disable_system_metrics_logging,
    enable_system_metrics_logging,
    flush_artifact_async_logging,
    flush_async_logging,
    log_artifact,
    log_artifacts,
    log_dict,
    log_figure,
    log_image,
    log_input,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    log_table,
    log_text,
    set_tag,
    set_tags,
)

__version__ = "3.17.2"
"""The version of MLflow whose names these are."""


def __getattr__(name: str) -> Any:
    """Return a flavour; what reads or manages a store raises when it is called."""
    if name in FLAVORS:
        return Flavor(name)
    if name not in MLFLOW:
        raise AttributeError(f"module 'mlflow' of unitrack.capture has no attribute {name!r}")

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise MlflowException(f"mlflow.{name} is not available without MLflow: {REASON}")

    return refuse


__all__ = [
    "ActiveRun",
    "MlflowClient",
    "MlflowException",
    "active_run",
    "autolog",
    "create_experiment",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "flush_artifact_async_logging",
    "flush_async_logging",
    "get_artifact_uri",
    "get_run",
    "get_tracking_uri",
    "last_active_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "set_experiment",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
]
