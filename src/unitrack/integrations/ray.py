"""Ray: a callback for Tune, with a run for each trial, and one for Ray Train v2.

tune.Tuner(train, run_config=tune.RunConfig(callbacks=[UnitrackTuneCallback()])).fit()
TorchTrainer(train, run_config=train.RunConfig(callbacks=[UnitrackTrainCallback()])).fit()
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun, log_params, refusals_as_warnings
from unitrack.integrations.frameworks import missing

try:
    from ray.train.v2._internal.execution.callback import ControllerCallback, ReportCallback  # see below
    from ray.tune.logger import LoggerCallback
    from ray.tune.result import AUTO_RESULT_KEYS
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackTrainCallback", "UnitrackTuneCallback"]


class UnitrackTuneCallback(LoggerCallback):  # type: ignore[misc]  # Ray's types are not read
    """Log an experiment of Tune as a run, and each trial as a child run, with its config as params.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`; the run is the experiment's. What a
    trial reports is logged at its `training_iteration`, from 1. With `log_checkpoints` each checkpoint is a version of
    the artifact "checkpoint". It runs in the process that calls `fit`, so a trial itself logs by `tune.report` alone.
    """

    def __init__(self, run: unitrack.Run | None = None, *, log_checkpoints: bool = False, **start: Any) -> None:
        self._attached = AttachedRun("ray", run, **start)
        self._start = start
        self._log_checkpoints = log_checkpoints
        self._runs: dict[str, unitrack.Run] = {}

    def log_trial_start(self, trial: Any) -> None:
        """Start the trial's run, unless the trial was paused or is tried once more."""
        if trial.trial_id in self._runs:
            return
        parent = self._attached.begin()
        start = {**self._start, "name": str(trial), "group": parent.name}
        run = unitrack.start_run(**start, parent=parent, job_type="trial")
        log_params(run, trial.config)
        run.warn_of_non_finite()
        self._runs[trial.trial_id] = run

    def log_trial_result(self, iteration: int, trial: Any, result: Mapping[str, Any]) -> None:
        """Log what the trial has reported."""
        metrics = {name: value for name, value in result.items() if name not in AUTO_RESULT_KEYS}
        self._runs[trial.trial_id].log_metrics(_numbers(metrics), result["training_iteration"])

    def on_checkpoint(self, iteration: int, trials: Any, trial: Any, checkpoint: Any, **info: Any) -> None:
        """Log a checkpoint of a trial."""
        if self._log_checkpoints and trial.trial_id in self._runs:
            _log_checkpoint(self._runs[trial.trial_id], checkpoint)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """End the trial's run."""
        self._runs.pop(trial.trial_id).finish("failed" if failed else "finished", wait=False)

    def on_experiment_end(self, trials: Any, **info: Any) -> None:
        """End the experiment's run if it was started here, and the runs of trials that were interrupted."""
        for run in self._runs.values():
            run.finish("killed", wait=False)
        self._attached.finish("killed" if self._runs else "finished")
        self._runs.clear()


class UnitrackTrainCallback(ControllerCallback, ReportCallback):  # type: ignore[misc]  # as above
    """Log what the first worker reports to Ray Train, at the number of the report, from 0, and the configuration.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`. Ray calls it in a process of its own.
    So the current run counts when this object is made, in the program, and a run of its own is started and ended there.
    With `log_checkpoints` each checkpoint is a version of the artifact "checkpoint".

    Ray's public `UserCallback` is not told that training has ended; these classes, which Ray uses itself, are.
    """

    def __init__(self, run: unitrack.Run | None = None, *, log_checkpoints: bool = False, **start: Any) -> None:
        self._attached = AttachedRun("ray", run or unitrack.current_run(), **start)
        self._log_checkpoints = log_checkpoints
        self._reports = 0

    def after_controller_start(self, train_run_context: Any) -> None:
        """Start or find the run, and log the configuration."""
        scaling = train_run_context.scaling_config
        config = {"workers": scaling.num_workers, "gpu": scaling.use_gpu, "config": train_run_context.train_loop_config}
        self._attached.begin({"ray": config})

    def after_report(self, training_report: Any, metrics: list[dict[str, Any]]) -> None:
        """Log what the first worker has reported, and the checkpoint of the workers."""
        run = self._attached.run
        if numbers := _numbers(metrics[0]):
            run.log_metrics(numbers, self._reports)
        self._reports += 1
        if self._log_checkpoints and training_report.checkpoint is not None:
            _log_checkpoint(run, training_report.checkpoint)

    def after_controller_finish(self, result: Any) -> None:
        """End the run if it was started here."""
        self._attached.finish("finished" if result.error is None else "failed")

    def before_controller_abort(self) -> None:
        """End it as killed: Ctrl-C, for example."""
        self._attached.finish("killed")


def _log_checkpoint(run: unitrack.Run, checkpoint: Any) -> None:
    with checkpoint.as_directory() as folder, refusals_as_warnings("a checkpoint"):
        run.log_artifact(folder, name="checkpoint")


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the numbers in nested values, by dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, Number) and not isinstance(value, bool | complex):
            found[f"{prefix}{name}"] = value
    return found
