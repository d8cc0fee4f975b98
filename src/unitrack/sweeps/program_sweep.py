"""A sweep over a program, as one agent runs it: its definition lies in the study, so that others can join."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.limits import MAX_GRID
from unitrack.plugins.registry import installed
from unitrack.run.plan import make_plan
from unitrack.sweeps.bands import make_bands_pruner
from unitrack.sweeps.definition import NO_METRIC, Definition
from unitrack.sweeps.finding import configured_root, find_place, load_study
from unitrack.sweeps.outcome import TrialResult
from unitrack.sweeps.overview import ENDLESS
from unitrack.sweeps.place import StudyPlace
from unitrack.sweeps.program import ProgramTrial, Stopping, check_program
from unitrack.sweeps.program_space import space_of
from unitrack.sweeps.result import SweepResult
from unitrack.sweeps.space import read_space
from unitrack.sweeps.study import SweepStudy, open_study
from unitrack.sweeps.sweeping import resolve_runs, sweep

_PROGRAM = "unitrack.program"
"""The attribute of a study that holds its `StoredProgram`."""


class StoredProgram(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent needs to join a sweep, wherever it runs."""

    definition: Definition
    folder: str
    """The working directory of the agent that began it."""
    timeout: float | None = None


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent decides for itself."""

    workers: int = 1
    """Trials at a time."""
    seed: int | None = None
    storage: str | None = None
    sinks: tuple[str, ...] = ()
    """Names; empty for the configured ones."""


class ProgramSweep:
    """A sweep over a program, in its study."""

    def __init__(self, place: StudyPlace, stored: StoredProgram, agent: AgentOptions) -> None:
        self.name = place.name
        self.definition = stored.definition
        self.metric = stored.definition.metric.name if stored.definition.metric else NO_METRIC
        self.mode = stored.definition.metric.mode if stored.definition.metric else "min"
        self.size = budget_of(stored.definition)
        """The number of trials; `ENDLESS` without a bound."""
        self._place, self._stored, self._agent = place, stored, agent
        self._study: SweepStudy | None = None
        self._stopping = Stopping()

    @classmethod
    def begin(
        cls, definition: Definition, name: str, agent: AgentOptions, timeout: float | None = None
    ) -> ProgramSweep:
        """Return a new sweep, or the one of this name if it is there with the same definition.

        Raises `ConfigError` for one that is there with another, for a program that does not exist, and for a grid that
        is too large.
        """
        place = find_place(name, agent.storage)
        stored = StoredProgram(definition=definition, folder=os.getcwd(), timeout=timeout)
        check_size(definition)
        return cls._opened(place, stored, agent)

    @classmethod
    def join(cls, name: str, agent: AgentOptions) -> ProgramSweep:
        """Return a sweep that is there. Raises `NotFoundError` without one, `ConfigError` if it can't go on here."""
        place = find_place(name, agent.storage)
        return cls._opened(place, load_program(place), agent)

    @classmethod
    def _opened(cls, place: StudyPlace, stored: StoredProgram, agent: AgentOptions) -> ProgramSweep:
        """Return the sweep with its study open, once all that its trials need is here."""
        _check_command(stored)
        _check_sinks(stored.definition, agent)
        sweep = cls(place, stored, agent)
        sweep._open()
        return sweep

    @property
    def is_in_database(self) -> bool:
        """Whether its study lies in a database, for agents on several machines."""
        return bool(self._place.url)

    @property
    def study(self) -> SweepStudy:
        """The study."""
        assert self._study is not None
        return self._study

    def results(self) -> list[TrialResult]:
        """Return all trials that have begun, those of other agents included."""
        return self.study.results()

    def run(self, on_trial: Callable[[TrialResult], None] | None = None) -> SweepResult:
        """Run trials until there are enough. Ctrl-C ends those that run; the study is left for another agent."""
        definition, agent = self.definition, self._agent
        trial = ProgramTrial(
            definition=definition,
            timeout=self._stored.timeout,
            variables=self._variables(),
            stopping=self._stopping,
        )
        executor = ThreadPoolExecutor(agent.workers, thread_name_prefix="unitrack-trial")
        try:
            with self._stopping.at_interrupt():
                return sweep(
                    trial,
                    space_of(definition),
                    strategy=_strategy(definition),
                    n=self.size,
                    metric=self.metric,
                    mode=self.mode,
                    name=self.name,
                    executor=executor,
                    workers=agent.workers,
                    prune=make_bands_pruner(definition.early_terminate) if definition.early_terminate else None,
                    seed=agent.seed,
                    storage=agent.storage,
                    target=definition.metric.target if definition.metric else None,
                    progress=False,
                    on_trial=on_trial,
                    project=definition.project,
                    sinks=list(agent.sinks) or None,
                )
        finally:
            self._end(executor)

    def _end(self, executor: ThreadPoolExecutor) -> None:
        """End the trials that run, if any."""
        self._stopping.asked.set()
        try:
            executor.shutdown(wait=True, cancel_futures=True)
        except KeyboardInterrupt:
            self._stopping.at_once.set()
            executor.shutdown(wait=True)
            raise

    def _variables(self) -> dict[str, str]:
        """Return what a program is to take from the agent, where its own `start_run` begins a run of its own."""
        sinks = {"UNITRACK_SINKS": ",".join(self._agent.sinks)} if self._agent.sinks else {}
        return {"UNITRACK_ROOT": str(configured_root().absolute()), **sinks}

    def _open(self) -> None:
        """Open the study, and store the program in it if it is new."""
        definition = self.definition
        self._study = open_study(
            self._place,
            metric=self.metric,
            mode=self.mode,
            strategy=_strategy(definition),
            space=read_space(space_of(definition)),
        )
        study = self._study.study
        stored = stored_program(study)
        if stored is not None and _essence(stored.definition) != _essence(definition):
            raise ConfigError(
                f"sweep {self.name!r} is there already, and is another one: its parameters, method or command differ; "
                f"give this one another --name, or go on with that one: unitrack sweep join {self.name}"
            )
        if stored != self._stored:  # new, or with another number of trials
            study.set_user_attr(_PROGRAM, msgspec.to_builtins(self._stored))


def load_program(place: StudyPlace) -> StoredProgram:
    """Return the program of a sweep that is there.

    Raises `NotFoundError` if there is none of this name, `ConfigError` for one over a function.
    """
    stored = stored_program(load_study(place))
    if stored is None:
        raise ConfigError(
            f"sweep {place.name!r} is one over a function: to join it, call unitrack.sweep(..., name={place.name!r})"
        )
    return stored


def stored_program(study: Any) -> StoredProgram | None:
    """Return the program of a study; None if it is one over a function."""
    stored = study.user_attrs.get(_PROGRAM)
    return None if stored is None else msgspec.convert(stored, StoredProgram)


def budget_of(definition: Definition) -> int:
    """Return the number of trials of a sweep; `ENDLESS` without a bound."""
    size = definition.size()
    given = [number for number in (definition.run_cap, size) if number is not None]
    return min(given, default=ENDLESS)


def check_size(definition: Definition) -> None:
    """Raise `ConfigError` for a grid with too many combinations, or too many values of one parameter."""
    size = definition.size()
    if size is None:
        return
    if budget_of(definition) > MAX_GRID:
        raise ConfigError(
            f"the grid has {size:,} combinations, more than {MAX_GRID:,}: give fewer values, a bound (--trials, "
            "run_cap), or another method, such as random"
        )
    for one in definition.parameters:
        if (count := one.distribution.grid_size() or 0) > MAX_GRID:
            raise ConfigError(
                f"{one.name!r} has {count:,} values, more than {MAX_GRID:,}: give fewer, or another method, such as "
                "random"
            )


def _check_sinks(definition: Definition, agent: AgentOptions) -> None:
    """Raise `ConfigError` if the runs of a sweep can't be started with these sinks."""
    resolved = resolve_runs(definition.project, list(agent.sinks) or None)
    plan = make_plan(resolved, installed(), None, None, os.environ)
    if not plan.lanes:
        raise ConfigError(
            "nothing is recorded here (tracking.mode, or UNITRACK_MODE, is disabled): a sweep over a program reads its "
            "metric from the runs"
        )


def _strategy(definition: Definition) -> str:
    return {"grid": "grid", "random": "random", "bayes": "tpe"}[definition.method]


def _essence(definition: Definition) -> bytes:
    """Return what makes a definition the same sweep: all but texts for people, and how many trials there are."""
    fields = msgspec.to_builtins(definition)
    for name in ("notes", "description", "run_cap", "name"):
        del fields[name]
    return msgspec.json.encode(fields, order="sorted")


def _check_command(stored: StoredProgram) -> None:
    definition = stored.definition
    program = definition.program
    if program and "${program}" in definition.command and not Path(program).exists():
        hint = "" if stored.folder == os.getcwd() else f": the sweep was begun in {stored.folder}"
        raise ConfigError(f"there is no program {program!r} in {os.getcwd()}{hint}; no trial was started")
    check_program(ProgramTrial(definition=definition).examples(1)[0])
