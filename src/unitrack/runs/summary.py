"""One metric of a run in short."""

from __future__ import annotations

import math

import msgspec


class MetricSummary(msgspec.Struct):
    """One metric in short. NaN counts as a point, and is neither the least nor the greatest."""

    points: int = 0
    last: float | None = None
    """At the highest step; of several there, the one logged last."""
    last_step: int = -1
    min: float | None = None
    max: float | None = None
    first: float | None = None
    """The one logged first."""
    mean: float | None = None

    def add(self, step: int, value: float) -> None:
        """Take in one point."""
        if self.points == 0 or step >= self.last_step:
            self.last, self.last_step = value, step
        self.points += 1
        if self.first is None:
            self.first = value
        self.mean = value if self.mean is None else self.mean + (value - self.mean) / self.points
        if not math.isnan(value):
            self.min = value if self.min is None else min(self.min, value)
            self.max = value if self.max is None else max(self.max, value)
