"""Points that log calls did not take: kept by number and by the first reason, for people who miss them later."""

from __future__ import annotations

import msgspec

from unitrack.validation.messages import brief
from unitrack.values.plain import plain_text

_MOST = 100
"""Metrics that are told apart. A run that refuses points of more has one cause for all."""


class Refusal(msgspec.Struct, frozen=True):
    """The points of one metric that were refused or dropped."""

    metric: str
    points: int
    step: int
    """Of the first one."""
    reason: str
    """Why the first one was refused."""


class Refusals:
    """The refusals of one process, by metric. Logging numbers that are in order never comes here."""

    def __init__(self) -> None:
        self._by_metric: dict[str, Refusal] = {}
        self.count = 0
        """All points that were refused, by which a change is noticed."""

    def add(self, metric: object, step: int, reason: str) -> None:
        """Count a point."""
        self.count += 1
        name = plain_text(metric) if isinstance(metric, str) else brief(metric)
        before = self._by_metric.get(name)
        if before is not None:
            self._by_metric[name] = msgspec.structs.replace(before, points=before.points + 1)
        elif len(self._by_metric) < _MOST:
            self._by_metric[name] = Refusal(name, 1, step, plain_text(reason))

    def all(self) -> list[Refusal]:
        """Return them, in the order in which they came up first."""
        return list(self._by_metric.values())
