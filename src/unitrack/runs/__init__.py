"""Reading: the runs that a backend holds, whatever it is and whoever wrote them.

A location names the backend and the place: `mlflow:sqlite:///mlflow.db`. Its source, which the backend's plugin brings,
gives records; here they become runs to look at. Nothing is written, and no SDK is imported but by the source.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unitrack.runs.errors import MissingLocationError, NotFoundError, SourceError
    from unitrack.runs.listing import Runs
    from unitrack.runs.stored_run import Point, StoredRun
    from unitrack.runs.summary import MetricSummary

__all__ = [
    "MetricSummary",
    "MissingLocationError",
    "NotFoundError",
    "Point",
    "Runs",
    "SourceError",
    "StoredRun",
    "runs",
]

_HOMES = {
    "MetricSummary": "summary",
    "MissingLocationError": "errors",
    "NotFoundError": "errors",
    "Point": "stored_run",
    "Runs": "listing",
    "SourceError": "errors",
    "StoredRun": "stored_run",
}


def runs(location: str | Path | None = None) -> Runs:
    """The runs that a location holds: `runs("mlflow:sqlite:///mlflow.db")`.

    A location is a backend's name, a colon and a place that its source takes: `tensorboard:LOGDIR`, `wandb:DIR`,
    `local:PATH`; a plain path means local runs, and None those under the configured root.

    Raises `ConfigError` if the backend is unknown or not installed, `SourceError` if nothing can be read there:
    `MissingLocationError` if nothing is there.
    """
    from unitrack.runs.listing import open_location  # training, which only writes, does not pay for reading

    return open_location(location)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"unitrack.runs.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'unitrack.runs' has no attribute {name!r}")
