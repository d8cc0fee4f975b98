"""A metric's summary as the columns of its row, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unitrack.hookspecs import MetricSummary

SUMMARY = ("points", "last", "last_step", "first", "mean", "min", "max", "step_of_min", "step_of_max")


def summary_columns(summaries: Iterable[MetricSummary]) -> dict[str, list[Any]]:
    """Return the columns of many summaries."""
    rows = list(summaries)
    return {name: [getattr(row, name) for row in rows] for name in SUMMARY}


def summary_of_row(row: Any) -> MetricSummary:
    """Return the summary in a row. A NULL is NaN where there is a value, as SQLite holds it; `min` is never NaN."""
    summary = MetricSummary(**{name: getattr(row, name) for name in SUMMARY})
    if summary.points:
        summary.last, summary.first, summary.mean = map(_value, (summary.last, summary.first, summary.mean))
    return summary


def _value(value: float | None) -> float:
    return float("nan") if value is None else value
