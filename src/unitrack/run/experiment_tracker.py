"""The interface of a tracker, and a function that works with every tracker."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from unitrack.errors import ArtifactNotFoundError, InvalidValueError
from unitrack.validation.arguments import as_path

MAX_ARTIFACT_SIZE = 100 * 1024 * 1024
"""Bytes that `safe_log_artifact` accepts: 100 MiB, the default of `safeguards.max_artifact_bytes`."""


class ExperimentTracker(ABC):
    """The interface of a tracker. `unitrack.Tracker` implements it; derive from it for a tracker of your own."""

    @abstractmethod
    def start_run(self, run_name: str | None = None) -> str:
        """Start a run, make it the active one, and return its id."""

    @abstractmethod
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log hyperparameters of the active run."""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics of the active run."""

    @abstractmethod
    def log_artifact(self, path: str, artifact_path: str | None = None) -> None:
        """Log a file of the active run."""

    @abstractmethod
    def end_run(self) -> None:
        """End the active run."""


def safe_log_artifact(tracker: ExperimentTracker, path: str) -> None:
    """Log a file of at most `MAX_ARTIFACT_SIZE` bytes to the tracker's active run.

    Raises `ArtifactNotFoundError` (a `FileNotFoundError`), and `InvalidValueError` (a `ValueError`) for a larger one.
    """
    file = as_path(path, "safe_log_artifact: path")
    if not os.path.exists(file):
        raise ArtifactNotFoundError(f"Artifact not found: {path}")
    size = file.stat().st_size
    if size > MAX_ARTIFACT_SIZE:
        raise InvalidValueError(
            f"Artifact too large: {size / 1024 / 1024:.1f}MB; {path} may have at most {MAX_ARTIFACT_SIZE} bytes"
        )
    tracker.log_artifact(path)
