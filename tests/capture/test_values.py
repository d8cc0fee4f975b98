"""Values as SDKs take them."""

from __future__ import annotations

import numpy as np
import pytest

from unitrack.capture.captured_run import as_number, is_number
from unitrack.capture.forwarding.mlflow_calls import as_value
from unitrack.capture.forwarding.wandb_values import values_of
from unitrack.capture.report import Report
from unitrack.capture.wandb.media import Histogram


@pytest.mark.parametrize("value", [1, 0.5, np.float32(1), np.int64(3), np.array([2.0]), np.array(2)])
def test_numbers(value: object) -> None:
    assert is_number(value)
    assert float(as_number(value)) == float(np.asarray(value).reshape(()))


@pytest.mark.parametrize("value", [True, np.bool_(True), "1", b"1", None, 1j, [1], np.array([1, 2]), {}])
def test_what_is_no_number(value: object) -> None:
    assert not is_number(value)


def test_a_number_is_taken_as_it_is_now() -> None:
    running = np.array(1.0)
    taken = as_number(running)
    running += 1
    assert taken == 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("0.1", 0.1), ("True", True), ("1e-3", "1e-3"), ("01", "01"), ("nan", "nan"), ("None", "None"), (3, 3)],
)
def test_text_of_mlflow_becomes_only_what_it_is_exactly(text: object, value: object) -> None:
    found = as_value(text)
    assert (found, type(found)) == (value, type(value))


def test_nested_values_have_names_with_dots_and_the_rest_is_counted() -> None:
    report = Report()
    given = {"a": {"b": 1, "c": {"d": 2.5}}, "text": "x", "flag": True, "list": [1, 2], "none": None}
    found = {value.name: value.value for value in values_of(given, report)}
    assert found == {"a.b": 1, "a.c.d": 2.5}
    assert sum(report.missed.values()) == 4
    assert "1 call of `wandb.log of a str ('text')` was not captured" in report.text()


def test_a_histogram_of_equal_values_has_one_bin() -> None:
    class Real:
        histogram, bins = [3], [2.0, 2.0]

    Real.__name__, Real.__module__ = "Histogram", "wandb.sdk.data_types.histogram"
    [found] = values_of({"h": Real()}, Report())
    assert found.value.values == ([3.0], [1.5, 2.5])
    assert sum(Histogram([5, 5, 5]).histogram) == 3
