"""Hydra: a callback that makes each job of an application a run.

hydra:
  callbacks:
    unitrack:
      _target_: unitrack.integrations.hydra.UnitrackCallback
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitrack.integrations.attached_run import AttachedRun, refusals_as_warnings
from unitrack.integrations.frameworks import missing

try:
    from hydra.core.utils import JobStatus
    from hydra.experimental.callback import Callback
    from omegaconf import OmegaConf
except ImportError as error:
    raise missing(__name__, error) from error

if TYPE_CHECKING:
    from unitrack.records import EndStatus

__all__ = ["UnitrackCallback"]


class UnitrackCallback(Callback):  # type: ignore[misc]  # Hydra's types are not read
    """Log each job as a run: the configuration as its params, and the files that Hydra writes of it, below "hydra/".

    The application logs to `unitrack.current_run()`, or with `unitrack.log_metrics` and the like. The jobs of a
    multirun are a group, called like the sweep's folder; each is named after the job and its number. A job that raises
    has failed. A number that the application returns, which sweepers minimize, is the metric "objective".

    `start`: arguments of `unitrack.start_run`, as keys of the configuration: see `AttachedRun`.
    """

    def __init__(self, **start: Any) -> None:
        self._start = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in start.items()
        }
        self._attached: AttachedRun | None = None

    def on_job_start(self, config: Any, **kwargs: Any) -> None:
        """Start or find the run, and log the configuration."""
        hydra = config.hydra
        start = dict(self._start)
        if hydra.mode is not None and hydra.mode.name == "MULTIRUN":
            start = {"group": str(hydra.sweep.dir), "name": f"{hydra.job.name}-{hydra.job.num}"} | start
        else:
            start = {"name": hydra.job.name} | start
        self._attached = AttachedRun("hydra", **start)
        params = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        run = self._attached.begin(OmegaConf.to_container(params, resolve=True, throw_on_missing=False))
        if overrides := list(hydra.overrides.task):
            run.set_tags({"hydra.overrides": " ".join(overrides)})

    def on_job_end(self, config: Any, job_return: Any, **kwargs: Any) -> None:
        """Log the job's files and its result, and end the run if it was started here."""
        if self._attached is None or not self._attached.has_begun:  # the application has ended it
            return
        run = self._attached.run
        folder = Path(config.hydra.runtime.output_dir)
        subfolder = config.hydra.output_subdir
        with refusals_as_warnings("a file of Hydra"):
            if subfolder is not None and (folder / subfolder).is_dir():
                run.log_artifacts(folder / subfolder, "hydra")
            if (log := folder / f"{config.hydra.job.name}.log").is_file():
                run.log_artifact(log, "hydra/")
        status: EndStatus = "failed"
        if job_return.status is JobStatus.COMPLETED:
            status, result = "finished", job_return.return_value
            if isinstance(result, int | float) and not isinstance(result, bool):
                run.summary["objective"] = result
        self._attached.finish(status)
