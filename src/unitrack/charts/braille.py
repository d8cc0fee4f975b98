"""Curves drawn with braille characters: 2 x 4 dots in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot, by row and column of a character."""
_BLANK = 0x2800
_MAX_POINTS = 4_000
"""Points of a curve that are drawn, evenly spaced: ten for each column of dots of a wide terminal."""


class Series(msgspec.Struct, frozen=True):
    """One curve. Points whose value is NaN or infinite are gaps."""

    steps: Sequence[int]
    values: Sequence[float]


class Cell(NamedTuple):
    """One character of a chart."""

    text: str
    series: int | None
    """The curve drawn last in it; None if there is none."""


class Chart(msgspec.Struct, frozen=True):
    """Curves in a frame of characters, and the ranges that it spans."""

    rows: list[list[Cell]]
    """From the top."""
    low: float
    high: float
    first: int
    last: int


def draw(series: Sequence[Series], width: int, height: int) -> Chart | None:
    """Return the curves in `width` x `height` characters; None if no point has a finite value.

    Neighboring points of a curve are joined by a line, unless a gap lies between them. Of long curves some points are
    left out, but never the first and the last.
    """
    curves = [list(_sampled(one)) for one in series]
    finite = [point for curve in curves for point in curve if point is not None]
    if not finite:
        return None
    first, last = min(step for step, _ in finite), max(step for step, _ in finite)
    low, high = min(value for _, value in finite), max(value for _, value in finite)
    canvas = _Canvas(width, height)
    for number, curve in enumerate(curves):
        before = None
        for point in curve:
            if point is None:
                before = None
                continue
            here = (
                round(_share(point[0], first, last) * (width * 2 - 1)),
                round((1 - _share(point[1], low, high)) * (height * 4 - 1)),
            )
            canvas.line(before or here, here, number)
            before = here
    return Chart(canvas.rows(), low, high, first, last)


def _sampled(series: Series) -> Iterator[tuple[int, float] | None]:
    """Yield points in the order of their steps; None for a gap."""
    count = len(series.steps)
    stride = max(1, math.ceil(count / _MAX_POINTS))
    chosen = [*range(0, count, stride), *([count - 1] if count and (count - 1) % stride else [])]
    for step, value in sorted(((series.steps[n], series.values[n]) for n in chosen), key=lambda point: point[0]):
        yield (step, value) if math.isfinite(value) else None


def _share(value: float, low: float, high: float) -> float:
    if low == high:
        return 0.5
    return (value / 2 - low / 2) / (high / 2 - low / 2)  # halves: the span of large values overflows


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self._bits = [[0] * width for _ in range(height)]
        self._series: list[list[int | None]] = [[None] * width for _ in range(height)]

    def line(self, start: tuple[int, int], end: tuple[int, int], series: int) -> None:
        """Set the dots from one to another, in coordinates of dots from the top left."""
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for number in range(length + 1):
            x = start[0] + round((end[0] - start[0]) * number / length)
            y = start[1] + round((end[1] - start[1]) * number / length)
            self._bits[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
            self._series[y // 4][x // 2] = series

    def rows(self) -> list[list[Cell]]:
        """Return the characters."""
        return [
            [Cell(chr(_BLANK + bits), series) for bits, series in zip(*row, strict=True)]
            for row in zip(self._bits, self._series, strict=True)
        ]
