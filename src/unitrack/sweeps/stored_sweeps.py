"""Sweeps as they lie in their studies: for listings, and after their end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from unitrack.errors import ConfigError
from unitrack.sweeps.definition import NO_METRIC
from unitrack.sweeps.finding import find_place, load_study, names_of_sweeps
from unitrack.sweeps.outcome import TrialResult, ranked
from unitrack.sweeps.program_space import space_of
from unitrack.sweeps.program_sweep import stored_program
from unitrack.sweeps.space import read_space
from unitrack.sweeps.study import SweepStudy, read_identity

if TYPE_CHECKING:
    from unitrack.sweeps.program_sweep import ProgramSweep


class StoredSweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep and its trials."""

    name: str
    metric: str
    mode: Literal["min", "max"]
    strategy: str
    parent: str
    """The id of the run that all trials are children of."""
    trials: list[TrialResult]

    @classmethod
    def of(cls, sweep: ProgramSweep) -> StoredSweep:
        """Return a sweep as it is now."""
        return _read(sweep.study)

    @property
    def best(self) -> TrialResult | None:
        """The best trial; None if none has finished, or the sweep has no metric."""
        if self.metric == NO_METRIC:
            return None
        return next(iter(ranked(self.trials, self.mode)), None)

    def count(self, status: str) -> int:
        """Return the number of trials of a status."""
        return sum(one.status == status for one in self.trials)


def read_sweep(name: str, storage: str | None) -> StoredSweep:
    """Return a sweep. Raises `NotFoundError` if there is none of this name."""
    place = find_place(name, storage)
    study = load_study(place)
    if (identity := read_identity(study)) is None:
        raise ConfigError(f"{name!r} is a study of Optuna, but no sweep of unitrack")
    program = stored_program(study)
    space = _unknown if program is None else read_space(space_of(program.definition))
    return _read(SweepStudy(place, study, identity, space))


def _unknown(trial: Any) -> None:
    """Say that the space of a function's sweep is not in its study: its params are shown as Optuna stores them."""
    raise LookupError


def read_sweeps(storage: str | None) -> list[StoredSweep]:
    """Return all sweeps below the root, or in a database."""
    found = []
    for name in names_of_sweeps(storage):
        with contextlib.suppress(ConfigError):  # a study of someone else
            found.append(read_sweep(name, storage))
    return found


def _read(study: SweepStudy) -> StoredSweep:
    identity = study.identity
    return StoredSweep(
        name=study.place.name,
        metric=identity.metric,
        mode=identity.mode,
        strategy=identity.strategy,
        parent=identity.parent,
        trials=study.results(),
    )
