"""Sparklines: a curve in one line of text, a character a bucket."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = " "
_SAMPLES = 32
"""Values of a bucket that are looked at, evenly spaced: a curve of any length takes the same time."""


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return the curve of `values` in at most `width` characters, from its least to its greatest bucket.

    A bucket shows the mean of its finite values; one that has none is a gap. A curve that does not change is a line of
    middle height. Of long buckets only some values are looked at.
    """
    count = min(width, len(values))
    means = [_mean(values, len(values) * n // count, len(values) * (n + 1) // count) for n in range(count)]
    finite = [mean for mean in means if mean is not None]
    if not finite:
        return _GAP * count
    low, high = min(finite), max(finite)
    return "".join(_GAP if mean is None else _BLOCKS[_level(mean, low, high)] for mean in means)


def _mean(values: Sequence[float], start: int, end: int) -> float | None:
    stride = max(1, (end - start) // _SAMPLES)
    finite = [value for value in values[start:end:stride] if math.isfinite(value)]
    return math.fsum(value / len(finite) for value in finite) if finite else None


def _level(value: float, low: float, high: float) -> int:
    if low == high:
        return len(_BLOCKS) // 2 - 1
    share = value / 2 - low / 2, high / 2 - low / 2  # halves: the span of large values overflows
    return min(int(share[0] / share[1] * len(_BLOCKS)), len(_BLOCKS) - 1) if share[1] else 0
