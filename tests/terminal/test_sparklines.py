"""Sparklines."""

from __future__ import annotations

import math

import pytest

from unitrack.terminal.sparklines import sparkline


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        pytest.param([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█", id="rising"),
        pytest.param([1.0, 1.0], 8, "▄▄", id="flat, fewer values than characters"),
        pytest.param([], 8, "", id="empty"),
        pytest.param([0.0, math.nan, 1.0], 8, "▁ █", id="a gap"),
        pytest.param([math.nan, math.inf], 8, "  ", id="nothing finite"),
        pytest.param([-1e308, 1e308], 8, "▁█", id="a span that overflows"),
        pytest.param([0.0, math.nan, 4.0, 4.0], 2, "▁█", id="the mean of a bucket leaves NaN out"),
        pytest.param([0.0, 5e-324], 8, "▁▁", id="the smallest numbers"),
    ],
)
def test_curves(values: list[float], width: int, expected: str) -> None:
    assert sparkline(values, width) == expected


def test_a_long_curve_costs_what_a_short_one_does() -> None:
    """Of a bucket only some values are looked at."""

    class Counted(list[float]):
        looked_at = 0

        def __getitem__(self, index: object) -> list[float]:  # type: ignore[override]
            found = list[float].__getitem__(self, index)  # type: ignore[call-overload]
            Counted.looked_at += len(found)
            return found  # type: ignore[no-any-return]

    assert len(sparkline(Counted(map(float, range(1_000_000))), 24)) == 24
    assert Counted.looked_at < 24 * 70
