"""An agent of a sweep: takes trials of a study, has them run, and records what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any

import msgspec

from unitrack.config import Resolved
from unitrack.errors import ConfigError, SweepError
from unitrack.sweeps.calling import Call, TrainFunction, make_call
from unitrack.sweeps.outcome import TrialOutcome, TrialResult
from unitrack.sweeps.remote_calls import WorkerDiedError
from unitrack.sweeps.reporting import ReportPlace
from unitrack.sweeps.study import Asked, SweepStudy
from unitrack.sweeps.trial import TrialSpec, timed_out
from unitrack.sweeps.trial_files import TrialFiles
from unitrack.sweeps.workers import Workers

_LOOK_S = 0.5
"""How often an agent that has no more trials looks whether those of dead agents have ended."""


class TrialTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all trials of an agent."""

    train_fn: TrainFunction
    call: Call | None
    """None if the params are known only once a trial is drawn."""
    n: int
    resolved: Resolved
    pruner: Any
    timeout: float | None
    target: float | None


class Agent:
    """One process's part in a sweep."""

    def __init__(
        self, study: SweepStudy, terms: TrialTerms, workers: Workers, on_result: Callable[[TrialResult], None]
    ) -> None:
        self._study = study
        self._terms = terms
        self._workers = workers
        self._on_result = on_result
        self._running: dict[Future[TrialOutcome], Asked] = {}
        self.folders: list[str] = []
        """The run folders of its trials."""

    def run(self) -> None:
        """Run trials until there are enough."""
        with self._study.presence:
            self._study.remove_leftovers()
            try:
                while self._fill() or self._running or self._wait_for_orphans():
                    self._collect()
            except BaseException:
                self._give_all_back()
                raise

    def _fill(self) -> bool:
        """Start as many trials as may run at a time; return whether any runs."""
        while len(self._running) < self._workers.size and not self._has_target():
            asked = self._study.ask(self._terms.n)
            self._take_reclaimed()
            if asked is None:
                break
            self._start(asked)
        return bool(self._running)

    def _has_target(self) -> bool:
        return self._terms.target is not None and self._study.has_reached(self._terms.target)

    def _take_reclaimed(self) -> None:
        while self._study.reclaimed:
            self._on_result(self._study.result(self._study.reclaimed.pop(0).number))

    def _start(self, asked: Asked) -> None:
        """Start a trial. An error that is not the trial's own puts its params back, and is raised."""
        try:
            future = self._workers.submit(self._spec(asked))
        except BrokenExecutor:
            self._study.give_back(asked.number, counts=False)
            self._replace_executor()
            return
        except BaseException:
            self._study.give_back(asked.number, counts=False)
            raise
        self._running[future] = asked

    def _collect(self) -> None:
        """Wait for the next trials to end, and record them."""
        for future in wait(self._running, return_when=FIRST_COMPLETED).done if self._running else ():
            asked = self._running[future]
            try:
                outcome: TrialOutcome | None = future.result()
            except (BrokenExecutor, WorkerDiedError):
                outcome = self._outcome_of_dead(asked)
            del self._running[future]
            if outcome is not None:
                self._take(outcome, asked)

    def _take(self, outcome: TrialOutcome, asked: Asked) -> None:
        self._study.tell(msgspec.structs.replace(outcome, number=asked.number))
        if outcome.folder:
            self.folders.append(outcome.folder)
        self._on_result(self._study.result(asked.number))

    def _outcome_of_dead(self, asked: Asked) -> TrialOutcome | None:
        """Return the outcome of a trial whose process died: ended, too slow, or died; None if it is tried again."""
        files = TrialFiles(self._study.place.folder, asked.number)
        if files.where_it_hung() is not None:
            return timed_out(asked.number, self._terms.timeout or 0.0, files)
        if (outcome := files.outcome()) is not None:
            return outcome
        return self._study.give_back(asked.number, counts=files.has_begun or not files.are_here)

    def _replace_executor(self) -> None:
        if not self._workers.renew():
            raise SweepError(
                "a process of the executor died, and it takes no more work: give executor= a name, or a function that "
                "makes one, for the sweep to go on; with the same name= it goes on where it stopped"
            )

    def _wait_for_orphans(self) -> bool:
        """Return whether trials of dead agents still run, after a short wait for them."""
        if self._has_target() or not self._study.has_orphans():
            return False
        time.sleep(_LOOK_S)
        return True

    def _give_all_back(self) -> None:
        for future, asked in self._running.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._study.tell(future.result())
            elif future.cancel() or self._workers.are_here:
                self._study.give_back(asked.number, counts=False)

    def _spec(self, asked: Asked) -> TrialSpec:
        terms, identity, place = self._terms, self._study.identity, self._study.place
        call = terms.call or make_call(terms.train_fn, asked.params, asked.params)
        return TrialSpec(
            number=asked.number,
            params=asked.params,
            train_fn=terms.train_fn,
            call=call,
            metric=identity.metric,
            resolved=with_experiment(
                in_crowd(terms.resolved, self._workers.size),
                name=f"{place.name}-{asked.number}",
                parent=identity.parent,
                group=place.name,
                job_type="trial",
            ),
            run_id=asked.run_id,
            folder=place.folder,
            report_to=None if terms.pruner is None else ReportPlace(place, asked.trial_id, terms.pruner),
            timeout=terms.timeout,
            agent=self._study.presence.owner.pid,
        )


def check_timeout(timeout: Any, workers: Workers) -> None:
    """Raise `ConfigError` for a `trial_timeout` that can't be kept."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigError(f"trial_timeout must be a number of seconds above 0, got {timeout!r}")
    if workers.are_here:
        raise ConfigError(
            "trial_timeout needs trials in processes of their own, which can be ended: executor='processes'"
        )


def in_crowd(resolved: Resolved, workers: int) -> Resolved:
    """Return the configuration of runs of which as many as there are workers log to the same server at a time."""
    settings = resolved.settings
    if workers == 1 or settings.tracking.crowd is not None:
        return resolved
    tracking = msgspec.structs.replace(settings.tracking, crowd=workers)
    return msgspec.structs.replace(resolved, settings=msgspec.structs.replace(settings, tracking=tracking))


def with_experiment(resolved: Resolved, **fields: Any) -> Resolved:
    """Return a configuration with another run's identity."""
    settings = resolved.settings
    experiment = msgspec.structs.replace(settings.experiment, **fields)
    return msgspec.structs.replace(resolved, settings=msgspec.structs.replace(settings, experiment=experiment))
