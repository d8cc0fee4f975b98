"""The document's trackers: a configuration that starts runs, and logs to the one that is active where it is called."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from unitrack.config import ExperimentConfig, resolve
from unitrack.ending import EndStatus
from unitrack.errors import NoActiveRunError
from unitrack.run import Run
from unitrack.start import start_resolved


class Tracker:
    """Starts runs from one configuration: the document's `ExperimentTracker`.

    `config` is what `start_run` takes as `config`; it is resolved here, so a mistake in it raises here. Each thread
    and each asyncio task has its own active run; one that started none logs to the run that the tracker started
    last. A run started while another is active is nested: ending it makes the outer one active again.
    """

    def __init__(self, config: ExperimentConfig | Mapping[str, Any] | str | Path | None = None) -> None:
        self._resolved = resolve(config)
        self._config = config
        self._active: ContextVar[tuple[Run, ...] | None] = ContextVar("active", default=None)
        self._started: list[Run] = []

    def start_run(self, run_name: str | None = None) -> Run:
        """Start a run and make it the active one. `str(run)` is its id."""
        resolved = self._resolved
        if run_name is not None:
            resolved = resolve(self._config, call={"experiment": {"name": run_name}})
        run = start_resolved(resolved)
        self._active.set((*(self._active.get() or ()), run))
        self._started.append(run)
        return run

    @property
    def active_run(self) -> Run | None:
        """The run that log calls made here go to."""
        here = self._active.get()
        candidates = self._started if here is None else [run for run in here if run in self._started]
        return candidates[-1] if candidates else None

    def _require_run(self) -> Run:
        run = self.active_run
        if run is None:
            raise NoActiveRunError("No active run. Call start_run() first.")
        return run

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log hyperparameters; see `Run.log_params`. Raises `NoActiveRunError` (a `RuntimeError`) without a run."""
        self._require_run().log_params(params)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics; see `Run.log_metrics`. Raises `NoActiveRunError` (a `RuntimeError`) without a run."""
        self._require_run().log_metrics(metrics, step)

    def log_artifact(self, path: str, artifact_path: str | None = None) -> None:
        """Log a file; see `Run.log_artifact`. Raises `NoActiveRunError` (a `RuntimeError`) without a run."""
        self._require_run().log_artifact(path, artifact_path)

    def end_run(self, status: EndStatus = "finished") -> None:
        """Finish the active run; without one, do nothing."""
        run = self.active_run
        if run is None:
            return
        self._started.remove(run)
        if (here := self._active.get()) is not None:
            self._active.set(tuple(one for one in here if one is not run))
        run.finish(status)


class LocalExperimentTracker(Tracker):
    """The document's local tracker: run folders under `base_dir`."""

    def __init__(self, base_dir: str | Path = "experiments") -> None:
        super().__init__({"tracking": {"root": str(base_dir), "sinks": ["local"]}})


class MLflowTracker(Tracker):
    """The document's MLflow tracker: runs of `experiment_name` in the store at `tracking_uri`."""

    def __init__(self, tracking_uri: str, experiment_name: str) -> None:
        super().__init__(
            {
                "experiment": {"project": experiment_name},
                "tracking": {"sinks": [{"mlflow": {"tracking_uri": tracking_uri}}]},
            }
        )
