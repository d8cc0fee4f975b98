"""What rules need to know of one metric: its points so far in a few numbers, and its last points."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence

_OF_WINDOW: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last": lambda points: points[-1],
    "first": lambda points: points[0],
    "min": min,
    "max": max,
    "mean": lambda points: math.fsum(points) / len(points),
    "median": statistics.median,
    "std": statistics.pstdev,
    "count": len,
}


class Series:
    """The points of one metric. `window`: how many of the last are kept."""

    def __init__(self, window: int) -> None:
        self._recent: deque[float] = deque(maxlen=max(1, window))
        self._count = 0
        self._first = self._least = self._greatest = math.nan
        self._mean = self._squares = 0.0
        self.time = 0
        """Of the last point, in milliseconds since the epoch."""

    def add(self, value: float, time: int) -> None:
        """Add a point."""
        self._recent.append(value)
        self.time = time
        self._count += 1
        if self._count == 1:
            self._first = value
        if not value >= self._least:  # true as well while there is none
            self._least = self._least if math.isnan(value) else value
        if not value <= self._greatest:
            self._greatest = self._greatest if math.isnan(value) else value
        distance = value - self._mean
        self._mean += distance / self._count
        self._squares += distance * (value - self._mean)

    def is_finite(self) -> bool:
        """Return whether the last point is a finite number."""
        return math.isfinite(self._recent[-1])

    def statistic(self, name: str, window: int | None) -> float | None:
        """Return a statistic of the last points, or of all; None while there are fewer than the window holds."""
        if not self._count or (window is not None and self._count < window):
            return None
        if window is not None:
            return float(_OF_WINDOW[name](list(self._recent)[-window:]))
        return {
            "last": self._recent[-1],
            "first": self._first,
            "min": self._least,
            "max": self._greatest,
            "mean": self._mean,
            "std": math.sqrt(max(0.0, self._squares / self._count)) if self._count else math.nan,
            "count": float(self._count),
        }[name]
