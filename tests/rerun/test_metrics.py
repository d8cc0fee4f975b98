"""Comparing the metrics of a run and of its rerun."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

import unitrack
from unitrack.reading import StoredRun
from unitrack.rerun.metrics import MetricResult, compare_metrics

Points = dict[str, list[tuple[int, float]]]


def stored(root: Path, points: Points) -> StoredRun:
    """A run with these points."""
    config = {"safeguards": {"non_finite": "keep"}}
    with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", config=config) as run:
        for name, curve in points.items():
            for step, value in curve:
                run.log_metrics({name: value}, step=step)
    return unitrack.runs(run.path)[0]


def compared(
    root: Path, first: Points, again: Points, tolerance: float = 0.0, ignore: Sequence[str] = ()
) -> dict[str, MetricResult]:
    """The results by name."""
    results = compare_metrics(stored(root, first), stored(root, again), tolerance=tolerance, ignore=ignore)
    return {one.name: one for one in results}


def test_bit_equal(root: Path) -> None:
    """NaN is equal to NaN, the order of logging and the times do not count."""
    first = [(0, 0.1), (1, math.nan), (2, -0.0)]
    found = compared(root, {"loss": first}, {"loss": [first[2], first[0], first[1]]})
    assert (found["loss"].verdict, found["loss"].points, found["loss"].differing) == ("bit-equal", 3, 0)


@pytest.mark.parametrize(
    ("value", "tolerance", "verdict"),
    [
        (1000.0 + 1e-4, 1e-6, "within tolerance"),
        (1000.0 + 1e-2, 1e-6, "differs"),
        (math.nextafter(1000.0, 0), 0.0, "differs"),
        (math.nan, 1e9, "differs"),
        (math.inf, 1e9, "differs"),
    ],
)
def test_a_value_that_deviates(root: Path, value: float, tolerance: float, verdict: str) -> None:
    """The first point that does is named, with both values."""
    found = compared(root, {"a": [(0, 1.0), (1, 1000.0)]}, {"a": [(0, 1.0), (1, value)]}, tolerance)["a"]
    assert (found.verdict, found.step, found.expected, found.differing) == (verdict, 1, 1000.0, 1)


def test_a_small_value_deviates_absolutely(root: Path) -> None:
    """Else a loss of 1e-12 that becomes zero would be as wrong as can be."""
    assert compared(root, {"a": [(0, 1e-12)]}, {"a": [(0, 0.0)]}, 1e-9)["a"].verdict == "within tolerance"
    assert compared(root, {"a": [(0, 0.0)]}, {"a": [(0, -0.0)]})["a"].verdict == "within tolerance"


def test_points_that_only_one_has(root: Path) -> None:
    """No tolerance is for a step that is missing, or for another number of points."""
    first: Points = {"a": [(0, 1.0), (1, 1.0)], "gone": [(0, 1.0)]}
    found = compared(root, first, {"a": [(0, 1.0)], "new": [(5, 1.0)]}, 1e9)
    assert {name: one.verdict for name, one in found.items()} == {"a": "differs", "gone": "missing", "new": "extra"}
    assert found["a"].deviation == math.inf


def test_what_is_left_out(root: Path) -> None:
    """What the clock or the machine says, and what the user names."""
    first: Points = {"system/cpu": [(0, 1.0)], "exec/duration_s": [(0, 1.0)], "time/epoch": [(0, 1.0)], "a": [(0, 1.0)]}
    again: Points = {name: [(0, 2.0)] for name in first}
    assert set(compared(root, first, again, ignore=["time/*"])) == {"a"}
