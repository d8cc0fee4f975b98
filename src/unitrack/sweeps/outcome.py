"""How a trial ended, and how the result of a sweep shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

TrialStatus = Literal["finished", "failed", "pruned"]
ResultStatus = Literal["finished", "failed", "pruned", "running"]


class TrialOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a trial ended."""

    number: int
    status: TrialStatus
    value: float | None = None
    """The metric that the sweep optimizes; of a pruned trial the last one; None if it failed."""
    metrics: dict[str, float] = {}
    """The last value of each metric that was logged or returned."""
    error: str = ""
    traceback: str = ""
    seconds: float = 0.0
    folder: str = ""
    """The run's folder, on the machine that ran it."""


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of a sweep."""

    number: int
    """From 0, in the order in which trials began."""
    status: ResultStatus
    params: dict[str, Any]
    """As the train function got them."""
    value: float | None = None
    """The metric that the sweep optimizes; of a pruned trial the last one that it logged."""
    metrics: dict[str, float] = {}
    """The last value of each metric."""
    error: str = ""
    """Why it failed."""
    traceback: str = ""
    seconds: float = 0.0
    run_id: str = ""
    """The id of its run."""


def ranked(trials: Iterable[TrialResult], mode: Literal["min", "max"]) -> list[TrialResult]:
    """Return the trials that finished with a value, the best first."""
    sign = 1 if mode == "min" else -1
    done = [one for one in trials if one.status == "finished" and one.value is not None]
    return sorted(done, key=lambda one: (sign * (one.value or 0.0), one.number))
