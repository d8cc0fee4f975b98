"""The study of a sweep: which trials there are, which one comes next, what has come out. Optuna keeps it."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Literal

import msgspec

from unitrack.errors import ConfigError
from unitrack.limits import TRIAL_RETRIES
from unitrack.sweeps.engine import load_optuna, quiet_optuna
from unitrack.sweeps.outcome import ResultStatus, TrialOutcome, TrialResult
from unitrack.sweeps.place import StudyPlace, open_storage
from unitrack.sweeps.presence import Presence
from unitrack.sweeps.space import Space, SpaceFunction
from unitrack.sweeps.trial_files import TrialFiles, numbers_of_files
from unitrack.system.processes import Owner

Mode = Literal["min", "max"]
_SWEEP = "unitrack.sweep"
"""The attribute of a study that holds `SweepIdentity`."""
_TRIAL = "unitrack.trial"
"""The attribute of a trial that holds `TrialMark`."""
_OUTCOME = "unitrack.outcome"
"""The attribute of a trial that holds `TrialOutcome`. A trial that Optuna calls failed and that has none has died."""
_BEAT = "unitrack.beat"
"""The attribute of a trial that holds the last sign of life of its agent, in seconds since the epoch."""
_CREATION_S = 10.0
"""How long an agent waits for the one that creates the study to write its identity."""


class SweepIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What all agents of a sweep agree on."""

    parent: str
    """The id of the parent run."""
    metric: str
    mode: Mode
    strategy: str


class TrialMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who runs a trial."""

    owner: Owner | None = None
    """The agent's process."""
    run_id: str = ""
    deaths: int = 0
    """How many processes died while they ran these params."""
    instead_of: int | None = None
    """The trial that died with these params."""


class Asked(msgspec.Struct, frozen=True):
    """A trial that this process is to run."""

    number: int
    trial_id: int
    params: dict[str, Any]
    run_id: str
    deaths: int


class SweepStudy:
    """The study, as one agent uses it."""

    def __init__(
        self,
        place: StudyPlace,
        study: Any,
        identity: SweepIdentity,
        space: Space | SpaceFunction,
        *,
        retries: int = TRIAL_RETRIES,
    ) -> None:
        self.place = place
        self.presence = Presence(place.folder, beat=self._beat, other_folders=bool(place.url))
        self.study = study
        """Optuna's own."""
        self.identity = identity
        self.reclaimed: list[TrialOutcome] = []
        """Trials of dead agents that had ended, or that died too often, since the last look."""
        self._running: set[int] = set()
        self._ended: dict[int, TrialResult] = {}
        self._space = space
        self._retries = retries
        self._states = load_optuna().trial.TrialState

    # -- which trials there are ---------------------------------------------------------------------------------------

    def _all(self) -> list[Any]:
        return self.study.get_trials(deepcopy=False)  # type: ignore[no-any-return]

    def _counts(self, trial: Any) -> bool:
        """Return whether a trial is one of the `n`: one that died is not, as its params are tried again."""
        return trial.state != self._states.FAIL or _OUTCOME in trial.user_attrs

    def has_orphans(self) -> bool:
        """Return whether a trial still runs although its agent is dead."""
        return any(
            trial.state == self._states.RUNNING
            and not self._is_attended(trial)
            and TrialFiles(self.place.folder, trial.number).is_running
            for trial in self._all()
        )

    def has_reached(self, target: float) -> bool:
        """Return whether a trial, of any agent and session, has finished with a value as good as `target`."""
        sign = 1 if self.identity.mode == "min" else -1
        return any(
            trial.state == self._states.COMPLETE and sign * trial.value <= sign * target for trial in self._all()
        )

    def _is_attended(self, trial: Any) -> bool:
        """Return whether the agent of a trial that runs is alive."""
        owner = _mark(trial).owner
        if owner is None:  # its agent is in `ask`, or died there; with the lock held it died
            return bool(self.place.url)
        return self.presence.is_alive(owner, trial.user_attrs.get(_BEAT, _start_of(trial)))

    # -- asking -------------------------------------------------------------------------------------------------------

    def ask(self, n: int) -> Asked | None:
        """Return the next trial, which no other agent gets; None once `n` trials have begun.

        Before, the trials of dead processes are recorded or put back.
        """
        with self.place.lock(), quiet_optuna():
            self._reclaim()
            trials = [trial for trial in self._all() if self._counts(trial)]
            if len(trials) >= n and not any(trial.state == self._states.WAITING for trial in trials):
                return None
            trial = self.study.ask()
            before = _mark(trial)
            run_id = f"{self.identity.parent}-{trial.number}"
            mark = msgspec.structs.replace(before, owner=self.presence.owner, run_id=run_id)
            trial.set_user_attr(_TRIAL, msgspec.to_builtins(mark))
            self._running.add(_id(trial))
            return Asked(trial.number, _id(trial), self._params(trial), run_id, mark.deaths)

    def _params(self, trial: Any) -> dict[str, Any]:
        """Return the params that the space makes of an Optuna trial, a fixed one included."""
        if isinstance(self._space, Space):
            return self._space.suggest(trial)
        made = self._space(trial)
        return dict(trial.params if made is None else made)

    def add_grid(self, space: Space, n: int) -> None:
        """Add the first `n` combinations of a grid, but those that are there, as waiting trials."""
        with self.place.lock():
            there = {_key(_fixed(trial)) for trial in self._all() if self._counts(trial)}
            for index, combination in enumerate(space.grid()):
                if index >= n:
                    break
                if _key(combination) not in there:
                    self.study.enqueue_trial(combination)

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self, outcome: TrialOutcome) -> None:
        """Record how a trial ended. One that another agent has recorded stays as it is."""
        optuna = load_optuna()
        with quiet_optuna(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial = self._open(outcome.number)
            self._running.discard(_id(trial))
            trial.set_user_attr(_OUTCOME, msgspec.to_builtins(outcome))
            if outcome.status == "finished":
                self.study.tell(outcome.number, outcome.value, skip_if_finished=True)
            else:
                state = self._states.PRUNED if outcome.status == "pruned" else self._states.FAIL
                self.study.tell(outcome.number, state=state, skip_if_finished=True)
        self.place.sync()
        TrialFiles(self.place.folder, outcome.number).remove()

    def _open(self, number: int) -> Any:
        found = next(trial for trial in self._all() if trial.number == number)
        return load_optuna().trial.Trial(self.study, _id(found))

    def give_back(self, number: int, *, counts: bool = True) -> TrialOutcome | None:
        """Put the params of a trial among the waiting ones; `counts`: its process died, which may happen too often.

        Return its outcome if it is not begun again.
        """
        with self.place.lock(), quiet_optuna():
            found = next(trial for trial in self._all() if trial.number == number)
            return self._bury(found, counts=counts)

    def _bury(self, trial: Any, *, counts: bool = True) -> TrialOutcome | None:
        deaths = _mark(trial).deaths + counts
        if counts and deaths > self._retries:
            times = "" if deaths == 1 else f" {deaths} times"
            outcome = TrialOutcome(
                number=trial.number,
                status="failed",
                error=f"its process died{times}: it was killed, or ran out of memory",
            )
            self.tell(outcome)
            return outcome
        if not trial.state.is_finished():
            self.study.tell(trial.number, state=self._states.FAIL, skip_if_finished=True)
        again = TrialMark(deaths=deaths, instead_of=trial.number)
        self.study.enqueue_trial({**_fixed(trial), **trial.params}, user_attrs={_TRIAL: msgspec.to_builtins(again)})
        TrialFiles(self.place.folder, trial.number).remove()
        return None

    # -- the dead -----------------------------------------------------------------------------------------------------

    def _reclaim(self) -> None:
        """Record the trials that dead processes had finished, and put back the others. Call it with the lock held."""
        trials = self._all()
        if not (dead := [trial for trial in trials if self._has_died(trial)]):
            return
        replaced = {_mark(trial).instead_of for trial in trials}
        for trial in dead:
            if trial.number in replaced:
                continue
            if outcome := TrialFiles(self.place.folder, trial.number).outcome() or _told(trial):
                self.tell(outcome)
            else:
                outcome = self._bury(trial)
            if outcome is not None:
                self.reclaimed.append(outcome)

    def remove_leftovers(self) -> None:
        """Remove files of trials that the study knows the end of: their agents died before they did it."""
        ended = {trial.number for trial in self._all() if trial.state.is_finished()}
        for number in ended & numbers_of_files(self.place.folder):
            TrialFiles(self.place.folder, number).remove()

    def _has_died(self, trial: Any) -> bool:
        if trial.state == self._states.FAIL:
            return _OUTCOME not in trial.user_attrs and (_TRIAL in trial.user_attrs or bool(_fixed(trial)))
        if trial.state != self._states.RUNNING:
            return False
        return not self._is_attended(trial) and not TrialFiles(self.place.folder, trial.number).is_running

    def _beat(self) -> None:
        """Renew the signs of life of this agent's trials. Called in a thread of its own."""
        for trial_id in list(self._running):
            load_optuna().trial.Trial(self.study, trial_id).set_user_attr(_BEAT, time.time())

    # -- results ------------------------------------------------------------------------------------------------------

    def results(self) -> list[TrialResult]:
        """Return all trials that have begun, those of other agents included. One that has ended is read once."""
        begun = [trial for trial in self._all() if self._counts(trial) and trial.state != self._states.WAITING]
        for trial in begun:
            if trial.state.is_finished() and trial.number not in self._ended:
                self._ended[trial.number] = self._result(trial)
        return [self._ended.get(trial.number) or self._result(trial) for trial in begun]

    def result(self, number: int) -> TrialResult:
        """Return one trial."""
        return next(self._result(trial) for trial in self._all() if trial.number == number)

    def _result(self, trial: Any) -> TrialResult:
        states = self._states
        names: dict[Any, ResultStatus] = {
            states.COMPLETE: "finished",
            states.PRUNED: "pruned",
            states.FAIL: "failed",
            states.RUNNING: "running",
        }
        told = _told(trial) or TrialOutcome(number=trial.number, status="failed")
        is_complete = trial.state == states.COMPLETE
        return TrialResult(
            number=trial.number,
            status=names[trial.state],
            params=self._as_given(trial),
            value=trial.value if is_complete else told.value,
            metrics=told.metrics,
            error=told.error,
            traceback=told.traceback,
            seconds=told.seconds,
            run_id=_mark(trial).run_id,
        )

    def _as_given(self, trial: Any) -> dict[str, Any]:
        """Return the params as the train function got them: what Optuna stores lacks constants and objects."""
        try:
            return self._params(load_optuna().trial.FixedTrial(trial.params, trial.number))
        except Exception:  # the trial is of another space, or died while it was drawn; the function is the user's
            return dict(trial.params)


def _id(trial: Any) -> int:
    return trial._trial_id  # type: ignore[no-any-return]  # noqa: SLF001  # the only way to open it in another process


def _start_of(trial: Any) -> float | None:
    return None if trial.datetime_start is None else trial.datetime_start.timestamp()


def _mark(trial: Any) -> TrialMark:
    return msgspec.convert(trial.user_attrs.get(_TRIAL, {}), TrialMark)


def _told(trial: Any) -> TrialOutcome | None:
    told = trial.user_attrs.get(_OUTCOME)
    return None if told is None else msgspec.convert(told, TrialOutcome)


def _fixed(trial: Any) -> dict[str, Any]:
    """Return the params that a trial has, or that it waits with."""
    return trial.system_attrs.get("fixed_params", trial.params)  # type: ignore[no-any-return]


def _key(params: dict[str, Any]) -> bytes:
    return msgspec.json.encode(params, order="sorted")


def open_study(
    place: StudyPlace,
    *,
    metric: str,
    mode: Mode,
    strategy: str,
    space: Space | SpaceFunction,
    sampler: Any = None,
    pruner: Any = None,
    retries: int = TRIAL_RETRIES,
) -> SweepStudy:
    """Return the study of a sweep, made if it is not there. Raises `ConfigError` if it is there for another goal."""
    optuna = load_optuna()
    storage = open_storage(place)
    options: dict[str, Any] = {"study_name": place.name, "storage": storage, "sampler": sampler, "pruner": pruner}
    place.folder.mkdir(parents=True, exist_ok=True)
    with quiet_optuna(), place.lock():
        try:
            study = optuna.create_study(direction="minimize" if mode == "min" else "maximize", **options)
            _write_identity(study, metric, mode, strategy)
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(**options)
            if place.url:
                _wait_for_identity(study)
            if read_identity(study) is None:  # its creator died
                _write_identity(study, metric, mode, strategy)
        identity = read_identity(study)
    assert identity is not None
    if (identity.metric, identity.mode) != (metric, mode):
        raise ConfigError(
            f"sweep {place.name!r} is there already, with metric={identity.metric!r} and mode={identity.mode!r}: "
            f"give this one another name"
        )
    return SweepStudy(place, study, identity, space, retries=retries)


def read_identity(study: Any) -> SweepIdentity | None:
    """Return what the agents of a study agree on; None for a study that is no sweep of unitrack."""
    given = study.user_attrs.get(_SWEEP)
    return None if given is None else msgspec.convert(given, SweepIdentity)


def _write_identity(study: Any, metric: str, mode: Mode, strategy: str) -> None:
    identity = SweepIdentity(parent=os.urandom(6).hex(), metric=metric, mode=mode, strategy=strategy)
    study.set_user_attr(_SWEEP, msgspec.to_builtins(identity))


def _wait_for_identity(study: Any) -> None:
    """Wait for the agent on another machine that has just created the study to write its identity."""
    until = time.monotonic() + _CREATION_S
    while read_identity(study) is None and time.monotonic() < until:
        time.sleep(0.05)
