"""The points of a metric summed up."""

from __future__ import annotations

import math

from unitrack.values.run_summary import MetricSummary


def test_the_steps_of_the_least_and_the_greatest_value_are_those_logged_first() -> None:
    summary = MetricSummary()
    for step, value in ((0, math.nan), (5, 2.0), (3, 7.0), (9, 2.0), (10, 7.0)):
        summary.add(step, value)
    assert (summary.min, summary.step_of_min, summary.max, summary.step_of_max) == (2.0, 5, 7.0, 3)
