"""Trackers: objects with a configuration that start runs, and log to the active run of the calling thread or task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unitrack.config import ExperimentConfig, resolve
from unitrack.errors import DeliveryError, NoActiveRunError
from unitrack.plugins.registry import installed
from unitrack.records import EndStatus
from unitrack.run.current import StartedRuns
from unitrack.run.experiment_tracker import ExperimentTracker
from unitrack.run.run import Run
from unitrack.run.start import start_resolved
from unitrack.validation.arguments import as_path

START_TIMEOUT_S = 60.0
"""How long `MLflowTracker.start_run` waits for MLflow: its courier first imports mlflow, which takes 5 to 8 s."""


class StartedRun(str):
    """The id of a run that a tracker has started: a string, and also a context manager that ends the run."""

    run: Run

    def __new__(cls, id_: str, run: Run) -> Self:
        """Return the string `id_` with its run."""
        started = super().__new__(cls, id_)
        started.run = run
        return started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the run: as "failed" if an exception leaves the block."""
        self.run.__exit__(kind, error, traceback)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it as a plain string: the run stays in its process."""
        return str, (str(self),)


class Tracker(ExperimentTracker):
    """Starts runs from one configuration, and logs to the active one.

    `config` is that of `unitrack.start_run`; it is resolved here, so a mistake in it raises here. Each thread and each
    asyncio task has its own active run; a thread or task that started none logs to the run that the tracker started
    last. A run started while another is active is nested: ending it makes the outer one active again.
    """

    def __init__(self, config: ExperimentConfig | Mapping[str, Any] | str | Path | None = None) -> None:
        self._resolved = resolve(config, shared_options=installed().shared_options)
        self._config = config
        self._runs = StartedRuns()

    def start_run(self, run_name: str | None = None) -> StartedRun:
        """Start a run, make it the active one, and return its id.

        The id is a string that ends the run as a context manager; its attribute `run` is the `Run`.
        """
        resolved = self._resolved
        if run_name is not None:
            resolved = resolve(
                self._config,
                call={"experiment": {"name": run_name}},
                shared_options=installed().shared_options,
            )
        run = start_resolved(resolved)
        started = StartedRun(self._id_of(run), run)
        self._runs.add(run)
        return started

    def _id_of(self, run: Run) -> str:
        """Return the id that `start_run` returns."""
        return run.id

    @property
    def active_run(self) -> Run | None:
        """The run to which log calls of this thread or task go; None without one."""
        return self._runs.current

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
        if run := self.active_run:
            run.finish(status)


class LocalExperimentTracker(Tracker):
    """Run folders under `base_dir`. `start_run` returns the folder's name: `Path(base_dir) / run_id` is the run."""

    def __init__(self, base_dir: str | Path = "experiments") -> None:
        super().__init__({"tracking": {"root": str(as_path(base_dir, "base_dir")), "sinks": ["local"]}})

    def _id_of(self, run: Run) -> str:
        return run.path.name


class MLflowTracker(Tracker):
    """Runs of the experiment `experiment_name` in the MLflow store at `tracking_uri`.

    `start_run` returns MLflow's own id of the run, for which it waits at most `start_timeout` seconds. It raises
    `DeliveryError` (a `RuntimeError`) if MLflow has not taken the run by then; log calls never wait for MLflow.
    """

    def __init__(self, tracking_uri: str, experiment_name: str, *, start_timeout: float = START_TIMEOUT_S) -> None:
        super().__init__(
            {
                "experiment": {"project": experiment_name},
                "tracking": {"sinks": [{"mlflow": {"tracking_uri": tracking_uri}}]},
            }
        )
        self._start_timeout = start_timeout

    def _id_of(self, run: Run) -> str:
        report = run.flush(timeout=self._start_timeout).sinks.get("mlflow")
        if link := run.links().get("mlflow"):
            return link.id
        if report is None:
            return run.id  # tracking is disabled
        run.finish("failed", timeout=0.0)
        why = report.last_error or f"no answer within {self._start_timeout:g} s"
        raise DeliveryError(f"Failed to start MLflow run: {why}")


def _let_yaml_write_ids() -> None:
    """Register `StartedRun` with PyYAML, which writes no subclass of `str` otherwise."""
    import yaml  # noqa: PLC0415  # PyYAML costs 11 ms

    names = ("SafeDumper", "Dumper", "CSafeDumper", "CDumper")
    for dumper in (getattr(yaml, name) for name in names if hasattr(yaml, name)):
        yaml.add_representer(StartedRun, yaml.representer.SafeRepresenter.represent_str, Dumper=dumper)


_let_yaml_write_ids()
