"""The points of one metric in two runs, compared one by one."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.difference import Difference
from unitrack.reading import History

_AS_FLOAT32 = "the backend holds 32-bit floats"


class _Point(NamedTuple):
    """A point in the order in which two histories are compared. NaN is a value as others, and -0.0 is not 0.0."""

    step: int
    time: int
    bits: int

    @property
    def value(self) -> float:
        return float(memoryview(array("q", [self.bits])).cast("B").cast("d")[0])


_NAN_BITS = memoryview(array("d", [math.nan])).cast("B").cast("q")[0]


def compare_points(reference: History, other: History, allowances: Allowances) -> Iterator[Difference]:
    """Yield the differences between two histories of a metric, one of each kind, which names the first such point.

    Points are compared by step, time and value, all of them bit for bit. In which order a backend returns points does
    not matter, beyond what their steps and times say.
    """
    if _columns(reference) == _columns(other):
        return
    rounded = not allowances.exact_floats
    missing, extra = _unmatched(_sorted(reference, as_float32=rounded), _sorted(other, as_float32=rounded))
    name = reference.metric
    if rounded and any(map(float.__ne__, reference.values, _as_float32(reference.values))):
        yield Difference(subject="point", name=name, problem="held as 32-bit floats", allowed=_AS_FLOAT32)
    bound = allowances.superseded.get(name)
    if bound is not None:
        yield from _of_superseded(name, bound, missing, extra)
        missing = [point for point in missing if point.step < bound]
        extra = [point for point in extra if point.step < bound]
    yield from _differences(name, missing, extra, allowances)


def only_in_one(history: History, allowances: Allowances, problem: Literal["missing", "extra"]) -> Difference:
    """Return the difference that one run has a metric, `history`, which the other one lacks."""
    first, count = history[0], len(history)
    values: dict[str, Any] = {"expected" if problem == "missing" else "found": first.value}
    bound = allowances.superseded.get(history.metric)
    allowed = _superseded(bound) if bound is not None and first.step >= bound else ""
    return Difference(
        subject="point", name=history.metric, problem=problem, step=first.step, count=count, allowed=allowed, **values
    )


def _columns(history: History) -> tuple[bytes, bytes, bytes]:
    return history.steps.tobytes(), history.values.tobytes(), history.times.tobytes()


def _as_float32(values: Sequence[float]) -> array[float]:
    return array("f", values)


def _sorted(history: History, *, as_float32: bool) -> list[_Point]:
    values = array("d", _as_float32(history.values)) if as_float32 else history.values
    bits = memoryview(values).cast("B").cast("q")
    canonical = (_NAN_BITS if value != value else one for value, one in zip(values, bits, strict=True))
    return sorted(map(_Point, history.steps, history.times, canonical))


def _unmatched(expected: list[_Point], found: list[_Point]) -> tuple[list[_Point], list[_Point]]:
    """Return the points of each sorted list that the other one lacks."""
    missing, extra = [], []
    left = right = 0
    while left < len(expected) and right < len(found):
        if expected[left] == found[right]:
            left += 1
            right += 1
        elif expected[left] < found[right]:
            missing.append(expected[left])
            left += 1
        else:
            extra.append(found[right])
            right += 1
    return missing + expected[left:], extra + found[right:]


def _differences(name: str, missing: list[_Point], extra: list[_Point], allowances: Allowances) -> Iterator[Difference]:
    """Yield the differences of points that have no equal: those of one step are the same point, changed."""
    values, times, lost, added = _Group("value differs"), _Group("time differs"), _Group("missing"), _Group("extra")
    for step, (before, after) in _by_step(missing, extra):
        for expected, found in zip(before, after, strict=False):
            if expected.bits != found.bits:
                values.add(step, expected.value, found.value)
            else:
                times.add(step, expected.time, found.time)
        for expected in before[len(after) :]:
            lost.add(step, expected.value, None)
        for found in after[len(before) :]:
            added.add(step, None, found.value)
    thinned = f"the sink gets one point in {allowances.keep_every}" if allowances.keep_every > 1 else ""
    yield from values.difference(name)
    yield from times.difference(name)
    yield from lost.difference(name, thinned)
    yield from added.difference(name)


def _by_step(missing: list[_Point], extra: list[_Point]) -> Iterator[tuple[int, tuple[list[_Point], list[_Point]]]]:
    before = {step: list(points) for step, points in itertools.groupby(missing, key=lambda point: point.step)}
    after = {step: list(points) for step, points in itertools.groupby(extra, key=lambda point: point.step)}
    for step in sorted({*before, *after}):
        yield step, (before.get(step, []), after.get(step, []))


class _Group:
    """The points that differ in one way, of which only the first is kept."""

    def __init__(self, problem: str) -> None:
        self._problem = problem
        self._first: tuple[int, float | None, float | None] | None = None
        self._count = 0

    def add(self, step: int, expected: float | None, found: float | None) -> None:
        self._first = self._first or (step, expected, found)
        self._count += 1

    def difference(self, metric: str, allowed: str = "") -> Iterator[Difference]:
        if self._first is not None:
            step, expected, found = self._first
            yield Difference(
                subject="point",
                name=metric,
                problem=self._problem,
                step=step,
                expected=expected,
                found=found,
                count=self._count,
                allowed=allowed,
            )


def _of_superseded(name: str, bound: int, missing: list[_Point], extra: list[_Point]) -> Iterator[Difference]:
    steps = [point.step for point in (*missing, *extra) if point.step >= bound]
    if steps:
        yield Difference(
            subject="point",
            name=name,
            problem="keeps points from before training went back",
            step=min(steps),
            count=len(steps),
            allowed=_superseded(bound),
        )


def _superseded(bound: int) -> str:
    return f"training went back to step {bound}, and the backend withdraws no points"
