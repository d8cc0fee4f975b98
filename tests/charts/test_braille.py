"""Curves in braille characters."""

from __future__ import annotations

import math

from unitrack.charts.braille import Series, draw


def rows(*series: Series, width: int = 4, height: int = 1) -> list[str]:
    chart = draw(series, width, height)
    assert chart is not None
    return ["".join(cell.text for cell in row) for row in chart.rows]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    assert rows(Series([0, 1], [0.0, 1.0]), width=2) == ["⡠⠊"]
    chart = draw([Series([3, 9], [0.5, 2.5])], 2, 1)
    assert chart is not None
    assert (chart.first, chart.last, chart.low, chart.high) == (3, 9, 0.5, 2.5)


def test_points_stand_in_the_order_of_their_steps() -> None:
    assert rows(Series([1, 0], [1.0, 0.0])) == rows(Series([0, 1], [0.0, 1.0]))


def test_nan_is_a_gap() -> None:
    assert rows(Series([0, 1, 2, 3, 4], [0.0, 0.0, math.nan, 0.0, 0.0]), width=5)[0][2] == "⠀"
    assert draw([Series([0, 1], [math.nan, math.inf])], 4, 1) is None
    assert draw([], 4, 1) is None


def test_each_character_knows_its_curve() -> None:
    chart = draw([Series([0, 1], [0.0, 0.0]), Series([0, 1], [1.0, 1.0])], 3, 2)
    assert chart is not None
    assert [[cell.series for cell in row] for row in chart.rows] == [[1, 1, 1], [0, 0, 0]]


def test_one_point_and_large_values_are_drawn() -> None:
    assert rows(Series([5], [1.0]))[0].strip("⠀")
    assert rows(Series([0, 1], [-1e308, 1e308]), width=2) == ["⡠⠊"]


def test_a_long_curve_keeps_its_first_and_its_last_point() -> None:
    chart = draw([Series(range(100_003), [0.0] * 100_002 + [1.0])], 10, 2)
    assert chart is not None
    assert (chart.last, chart.high) == (100_002, 1.0)
