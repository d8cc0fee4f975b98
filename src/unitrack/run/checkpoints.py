"""The random number generators in the state of a run, which training keeps in its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unitrack.environment.rng_states import read_rng_states, restore_rng_states
from unitrack.errors import InvalidValueError, warn_caller

_KEY = "rng"
_RANK = "rank"


def rng_part(rank: int, generators: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the part of a run's state that holds the random number generators of this process."""
    return {_KEY: {_RANK: rank, **read_rng_states(generators or {})}}


def restore_rng(state: Mapping[str, Any], rank: int, generators: Mapping[str, Any] | None) -> None:
    """Set random number generators to those of a run's state, if it is of this rank; warn of what can't be set.

    A state of before there were any is accepted. Raises `InvalidValueError` for a damaged one.
    """
    states = state.get(_KEY)
    if states is None:
        return
    if not isinstance(states, Mapping):
        raise InvalidValueError(f"the state's {_KEY!r} must be what state_dict() gave, got {type(states).__name__}")
    if states.get(_RANK, 0) != rank:
        warn_caller(
            f"the state holds the random numbers of rank {states.get(_RANK, 0)}: rank {rank} goes on with its own; "
            "save run.state_dict() on each rank to resume all of them exactly"
        )
        return
    if problems := restore_rng_states(states, generators or {}):
        warn_caller(f"not all random number generators go on where the checkpoint left them: {'; '.join(problems)}")
