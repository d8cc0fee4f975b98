"""The run of a sweep itself, below which backends show those of its trials."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Self

from unitrack.config import Resolved
from unitrack.errors import RunExistsError
from unitrack.run.run import Run
from unitrack.run.start import start_resolved
from unitrack.sweeps.outcome import TrialResult
from unitrack.sweeps.study import SweepStudy


class ParentRun:
    """The parent run, logged by the agent that opened it; other agents leave it alone while that one runs."""

    def __init__(self, study: SweepStudy, resolved: Resolved, n: int) -> None:
        """`resolved`: the configuration of the run, its name included."""
        self._study = study
        self._resolved = resolved
        self._n = n
        self._run: Run | None = None
        self._best: float | None = None

    def __enter__(self) -> Self:
        identity = self._study.identity
        with self._study.place.lock(), contextlib.suppress(RunExistsError):  # another agent has it open
            self._run = start_resolved(self._resolved, run_id=identity.parent, resume="allow")
            self._run.set_tags(
                {
                    "sweep.strategy": identity.strategy,
                    "sweep.metric": identity.metric,
                    "sweep.mode": identity.mode,
                    "sweep.n": self._n,
                }
            )
        return self

    def note(self, trial: TrialResult) -> bool:
        """Take a trial of an earlier session into account; return whether it finished."""
        if trial.status != "finished" or trial.value is None:
            return False
        better = min if self._study.identity.mode == "min" else max
        self._best = trial.value if self._best is None else better(self._best, trial.value)
        return True

    def log(self, trial: TrialResult) -> None:
        """Log the best value so far, at the trial's number."""
        if self.note(trial) and self._run is not None:
            self._run.log_metrics({f"best/{self._study.identity.metric}": self._best}, step=trial.number)

    def log_result(self, table: Any) -> None:
        """Log all trials as a table."""
        if self._run is not None:
            self._run.log_table(list(table.rows), "trials", columns=list(table.columns))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._run is not None:
            self._run.__exit__(kind, error, traceback)
