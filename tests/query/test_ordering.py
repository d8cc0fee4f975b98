"""The order of runs."""

from __future__ import annotations

import math

import pytest

from unitrack.errors import QueryError
from unitrack.query.conditions import Field
from unitrack.query.evaluation import MISSING
from unitrack.query.ordering import OrderKey, parse_order


def test_spellings() -> None:
    acc, started = Field("metrics", "acc", "last"), Field("run", "started")
    for order in (
        "-metrics.acc.last, started",
        ["-metrics.acc.last", "+started"],
        "metrics.acc.last DESC, started asc",
    ):
        assert parse_order(order) == (OrderKey(acc, descending=True), OrderKey(started))
    assert parse_order('-metrics."val/loss, x".max') == (OrderKey(Field("metrics", "val/loss, x", "max"), True),)


def test_numbers_come_first_then_texts_then_nan_and_what_is_missing_last() -> None:
    values = ["b", MISSING, "10", 9, math.nan, "a", 2.5, None]
    upwards = sorted(values, key=OrderKey(Field("params", "x")).key)
    assert upwards[:5] == [2.5, 9, "10", "a", "b"] and upwards[6:] == [MISSING, None]
    downwards = sorted(values, key=OrderKey(Field("params", "x"), descending=True).key)
    assert downwards[:5] == ["10", 9, 2.5, "b", "a"] and downwards[6:] == [MISSING, None]


@pytest.mark.parametrize(
    "order", ["metrics", "-", "", "acc", "metrics.acc down", "params.a < 1", "'x'", "started,,name"]
)
def test_what_is_no_field_is_named(order: str) -> None:
    with pytest.raises(QueryError):
        parse_order(order)
