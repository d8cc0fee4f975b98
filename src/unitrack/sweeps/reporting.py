"""What a trial logs, as the sweep sees it: the last value of each metric, and reports to the pruner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.errors import TrialPruned
from unitrack.sweeps.engine import load_optuna, quiet_optuna
from unitrack.sweeps.place import StudyPlace, open_storage


class ReportPlace(msgspec.Struct, frozen=True):
    """The trial whose pruner is asked."""

    place: StudyPlace
    trial_id: int
    pruner: Any


class Reporter:
    """Sees each point of a trial's run."""

    def __init__(self, metric: str, place: ReportPlace | None) -> None:
        self._metric = metric
        self._place = place
        self._is_pruned = False
        self._trial: Any = None
        self._reported: set[int] = set()
        self.last: dict[str, float] = {}
        """The last value of each metric."""
        self.step = -1
        """The highest step so far."""
        self.is_over = False
        """Whether training is over: what is logged then is no reason to stop."""

    def see(self, values: Mapping[str, float], step: int) -> Exception | None:
        """Take the points of a log call; return `TrialPruned` if the trial is to stop."""
        self._take(values, step)
        if self._place is not None and self._metric in values and not (self.is_over or self._is_pruned):
            is_new = self._report(self._place, values[self._metric], step)
            self._is_pruned = is_new and bool(self._trial.should_prune())
        return TrialPruned(f"the sweep's pruner stopped this trial at step {step}") if self._is_pruned else None

    def note(self, values: Mapping[str, float], step: int) -> None:
        """Take points of a training that has ended by itself: they stop nothing, but other trials are compared with
        them.
        """
        self._take(values, step)
        if self._place is not None and self._metric in values:
            self._report(self._place, values[self._metric], step)

    def _take(self, values: Mapping[str, float], step: int) -> None:
        self.last.update(values)
        self.step = max(self.step, step)

    def _report(self, place: ReportPlace, value: float, step: int) -> bool:
        """Report the metric to the study, and return whether it had none of this step."""
        if self._trial is None:
            self._trial = load_trial(place.place, place.trial_id, place.pruner)
        if step in self._reported:
            return False
        self._reported.add(step)
        self._trial.report(value, step)
        return True


def load_trial(place: StudyPlace, trial_id: int, pruner: Any) -> Any:
    """Return the Optuna trial of this id, in any process that reaches the study."""
    optuna = load_optuna()
    with quiet_optuna():
        study = optuna.load_study(study_name=place.name, storage=open_storage(place), pruner=pruner)
    return optuna.trial.Trial(study, trial_id)
