"""Trackers: a configuration that starts runs, and logs to the one that is active where it is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unitrack.config import ExperimentConfig, resolve
from unitrack.current import StartedRuns
from unitrack.errors import DeliveryError, NoActiveRunError
from unitrack.experiment_tracker import ExperimentTracker
from unitrack.records import EndStatus
from unitrack.run import Run
from unitrack.start import start_resolved
from unitrack.validation.arguments import as_path

START_TIMEOUT_S = 60.0
"""How long `MLflowTracker.start_run` waits for MLflow: its courier imports mlflow first, which takes 5 to 8 s."""


class StartedRun(str):
    """The id of a run that a tracker has started: text for JSON, YAML and paths, and a context manager that ends it."""

    run: Run

    def __new__(cls, id_: str, run: Run) -> Self:
        """Make the text `id_` that knows its run."""
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
        """Pickled and copied it is text: the run stays in its process."""
        return str, (str(self),)


class Tracker(ExperimentTracker):
    """Starts runs from one configuration, and logs to the active one.

    `config` is what `start_run` takes as `config`; it is resolved here, so a mistake in it raises here. Each thread
    and each asyncio task has its own active run; one that started none logs to the run that the tracker started
    last. A run started while another is active is nested: ending it makes the outer one active again.
    """

    def __init__(self, config: ExperimentConfig | Mapping[str, Any] | str | Path | None = None) -> None:
        self._resolved = resolve(config)
        self._config = config
        self._runs = StartedRuns()

    def start_run(self, run_name: str | None = None) -> StartedRun:
        """Start a run, make it the active one, and return its id: text that ends the run as a context manager.

        `.run` is the `Run`.
        """
        resolved = self._resolved
        if run_name is not None:
            resolved = resolve(self._config, call={"experiment": {"name": run_name}})
        run = start_resolved(resolved)
        started = StartedRun(self._id_of(run), run)
        self._runs.add(run)
        return started

    def _id_of(self, run: Run) -> str:
        """What `start_run` returns."""
        return run.id

    @property
    def active_run(self) -> Run | None:
        """The run that log calls made here go to."""
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
    """PyYAML writes no subclass of `str` unless it is told how."""
    import yaml

    names = ("SafeDumper", "Dumper", "CSafeDumper", "CDumper")
    for dumper in (getattr(yaml, name) for name in names if hasattr(yaml, name)):
        yaml.add_representer(StartedRun, yaml.representer.SafeRepresenter.represent_str, Dumper=dumper)


_let_yaml_write_ids()
