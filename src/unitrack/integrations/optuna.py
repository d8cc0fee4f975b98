"""Optuna: a callback for `study.optimize` that makes each trial a run below the study's.

callback = UnitrackCallback()
study.optimize(callback.track(objective), n_trials=20, callbacks=[callback])
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun, log_params
from unitrack.integrations.frameworks import missing

try:
    import optuna
except ImportError as error:
    raise missing(__name__, error) from error

if TYPE_CHECKING:
    from unitrack.records import EndStatus

__all__ = ["UnitrackCallback"]

_STATUS: dict[str, EndStatus] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}


class UnitrackCallback:
    """Log a study as a run, and each of its trials as a child run of it.

    `run` and `start`, the arguments of `unitrack.start_run`: see `AttachedRun`; the run is the study's. A trial's run
    has its params, what was reported as "intermediate_value" at its step, and the objective as "value", or by the
    study's metric names. A pruned trial ends as pruned. The study's run has each value, and the best one so far as
    "best_value", at the trial's number.

    With `track(objective)` the trial's run is the current one while the objective runs, so that other integrations and
    `unitrack.log_metrics` log to it. Without it, the runs are made when the trials have ended; a trial that raises then
    shows only in the study's run, since Optuna calls no callback for it. Optuna does not say either when a study has
    been optimized: a run that was started here ends with the next training or the process.
    """

    def __init__(self, run: unitrack.Run | None = None, **start: Any) -> None:
        self._attached = AttachedRun("optuna", run, **start)
        self._start = start
        self._tracked: set[int] = set()
        self._has_raised = False

    def track(self, objective: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the objective, running each trial within its run."""

        @functools.wraps(objective)
        def tracked(trial: Any) -> Any:
            run = self._begin_trial(trial.study, trial.number)
            self._tracked.add(trial.number)
            try:
                values = objective(trial)
            except BaseException as error:
                status = _status_of(error)
                self._has_raised |= status != "pruned"
                self._end_trial(run, trial.study, trial.number, status)
                raise
            self._end_trial(run, trial.study, trial.number, "finished" if _is_accepted(values) else "failed", values)
            return values

        return tracked

    def __call__(self, study: Any, trial: Any) -> None:
        """Log a trial that has ended."""
        values = trial.values if trial.state.name == "COMPLETE" else None  # a pruned one has what it reported last
        if trial.number not in self._tracked:
            run = self._begin_trial(study, trial.number)
            self._end_trial(run, study, trial.number, _STATUS[trial.state.name], values)
        self._has_raised = False  # one that raises out of `optimize` has no callback
        if values is not None:
            best = {"best_value": study.best_value} if len(values) == 1 else {}
            self._attached.run.log_metrics({**_named(study, values), **best}, trial.number)

    def _begin_trial(self, study: Any, number: int) -> unitrack.Run:
        directions = [direction.name.lower() for direction in study.directions]
        parent = self._attached.begin(
            {"optuna": {"study": study.study_name, "directions": directions, "sampler": type(study.sampler).__name__}}
        )
        self._attached.status_if_left = lambda: "failed" if self._has_raised else "finished"
        start = {**self._start, "name": f"{parent.name}-{number}", "group": parent.name}
        return unitrack.start_run(**start, parent=parent, job_type="trial")

    def _end_trial(self, run: unitrack.Run, study: Any, number: int, status: EndStatus, values: Any = None) -> None:
        trial = study.get_trials(deepcopy=False)[number]
        run.warn_of_non_finite()
        log_params(run, trial.params)
        run.set_tags({"optuna.trial": number})
        reported = trial.intermediate_values
        for step, value in sorted(reported.items()):
            run.log_metrics({"intermediate_value": value}, step)
        if _is_accepted(values):
            run.log_metrics(_named(study, values), max(reported, default=0))
        run.finish(status, wait=False)


def _status_of(error: BaseException) -> EndStatus:
    if isinstance(error, optuna.TrialPruned):
        return "pruned"
    return "killed" if isinstance(error, KeyboardInterrupt) else "failed"


def _many(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


def _is_accepted(values: Any) -> bool:
    """Return whether Optuna takes what an objective has returned; else the trial has failed."""
    try:
        return not any(math.isnan(float(value)) for value in _many(values))
    except (TypeError, ValueError):
        return False


def _named(study: Any, values: Any) -> dict[str, float]:
    """Return the values of the objective by their names."""
    many = _many(values)
    names = study.metric_names or (["value"] if len(many) == 1 else [f"value.{number}" for number in range(len(many))])
    return dict(zip(names, map(float, many), strict=True))
