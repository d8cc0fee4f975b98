"""The metrics of a run and of its rerun, point by point: bit-equal, within a tolerance, or different."""

from __future__ import annotations

import fnmatch
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from unitrack.hookspecs import Columns
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.points import compare_points
from unitrack.reading import History, StoredRun
from unitrack.records import SYSTEM_PREFIX

Verdict = Literal["bit-equal", "within tolerance", "differs", "missing", "extra"]

_BY_CLOCK = (f"{SYSTEM_PREFIX}*", "exec/duration_s")
"""Metrics that unitrack itself takes from the clock and the machine: they are never the same."""


class MetricResult(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a run, compared with that of its rerun."""

    name: str
    verdict: Verdict
    points: int
    """Of the first run; of the rerun if only that has the metric."""
    differing: int = 0
    """Points that are not bit-equal, or that only one of them has."""
    step: int | None = None
    """Of the first such point."""
    expected: float | None = None
    found: float | None = None
    deviation: float = 0.0
    """The largest one, relative to the larger of the two values."""


def compare_metrics(
    first: StoredRun, again: StoredRun, *, tolerance: float, ignore: Sequence[str]
) -> Iterator[MetricResult]:
    """Yield the result for each metric of both runs. When points were logged does not count.

    `tolerance`: the deviation that is allowed, relative to the larger value, or absolute where that is below 1.
    `ignore`: globs of metrics that are left out.
    """
    left_out = (*_BY_CLOCK, *ignore)
    names = [
        name
        for name in dict.fromkeys([*first.summary, *again.summary])
        if not any(fnmatch.fnmatchcase(name, glob) for glob in left_out)
    ]
    before, after = first.histories(names), again.histories(names)
    for name in names:
        if name not in after:
            yield _only_in_one(before[name], "missing")
        elif name not in before:
            yield _only_in_one(after[name], "extra")
        else:
            yield _compare(before[name], after[name], tolerance)


def _only_in_one(history: History, verdict: Verdict) -> MetricResult:
    points = len(history)
    value = history[0].value
    values = {"expected": value} if verdict == "missing" else {"found": value}
    return MetricResult(
        name=history.metric, verdict=verdict, points=points, differing=points, step=history[0].step, **values
    )


def _compare(first: History, again: History, tolerance: float) -> MetricResult:
    differences = list(compare_points(_without_times(first), _without_times(again), Allowances()))
    if not differences:
        return MetricResult(name=first.metric, verdict="bit-equal", points=len(first))
    earliest = min(differences, key=lambda one: -1 if one.step is None else one.step)
    deviation = _largest_deviation(first, again)
    return MetricResult(
        name=first.metric,
        verdict="within tolerance" if deviation <= tolerance else "differs",
        points=len(first),
        differing=sum(one.count for one in differences),
        step=earliest.step,
        expected=earliest.expected,
        found=earliest.found,
        deviation=deviation,
    )


def _largest_deviation(first: History, again: History) -> float:
    """Return the largest deviation of two points of the same step; infinite if the steps are not the same."""
    before, after = (
        sorted(zip(one.steps, one.values, strict=True), key=lambda point: point[0]) for one in (first, again)
    )
    if [step for step, _ in before] != [step for step, _ in after]:
        return math.inf
    return max((_deviation(one, other) for (_, one), (_, other) in zip(before, after, strict=True)), default=0.0)


def _deviation(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other), 1.0)


def _without_times(history: History) -> History:
    times = array("q", bytes(8 * len(history)))
    return History(history.metric, Columns(history.steps, history.values, memoryview(times)))
