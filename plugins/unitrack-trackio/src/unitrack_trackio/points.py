"""The points in a project's rows, as records and in columns."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from unitrack.hookspecs import Columns, MetricSummary
from unitrack_trackio.database import Row
from unitrack_trackio.names import RECORD, key_of, name_of, time_of

_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""trackio's words for what JSON has no numbers for."""


def points_of(row: Row, *, is_ours: bool) -> dict[str, float]:
    """Return the points of a row by metric: its numbers. Text, media and nested values are none."""
    points = {}
    for key, value in row.values.items():
        number = _number(value)
        if number is not None:
            points[name_of(key) if is_ours else key] = number
    return points


def time_of_row(row: Row, *, is_ours: bool) -> int:
    """Return the time of the log call, in milliseconds since the epoch."""
    noted = row.values.get(RECORD) if is_ours else None
    return time_of(noted) if noted else milliseconds(row.timestamp)


def columns_of_rows(rows: Iterable[Row], metrics: Collection[str] | None, *, is_ours: bool) -> dict[str, Columns]:
    """Return the points of these metrics, or of all, in columns."""
    columns: dict[str, tuple[array[int], array[float], array[int]]] = {}
    wanted = None if metrics is None else [key_of(name) if is_ours else name for name in metrics]
    for row in rows:
        values = row.values
        time = None
        for key in values if wanted is None else wanted:
            number = _number(values.get(key))
            if number is None:
                continue
            if time is None:
                time = time_of_row(row, is_ours=is_ours)
            column = columns.get(key)
            if column is None:
                column = columns[key] = (array("q"), array("d"), array("q"))
            column[0].append(row.step)
            column[1].append(number)
            column[2].append(time)
    return {
        name_of(key) if is_ours else key: Columns(memoryview(steps), memoryview(values), memoryview(times))
        for key, (steps, values, times) in columns.items()
    }


class MetricsFold:
    """The summary of each metric of one run, row by row."""

    def __init__(self, *, is_ours: bool) -> None:
        self._name_of: Callable[[str], str] = name_of if is_ours else str
        self._by_key: dict[str, MetricSummary] = {}

    def add(self, row: Row) -> None:
        """Add the points of the next row."""
        for key, value in row.values.items():
            number = _number(value)
            if number is not None:
                summary = self._by_key.get(key)
                if summary is None:
                    summary = self._by_key[key] = MetricSummary()
                summary.add(row.step, number)

    def build(self) -> dict[str, MetricSummary]:
        """Return the summaries by metric."""
        return {self._name_of(key): summary for key, summary in self._by_key.items()}


@lru_cache(maxsize=16)  # trackio writes a batch of rows with one timestamp
def milliseconds(timestamp: str) -> int:
    """Return a time in ISO form, UTC unless it says otherwise, in milliseconds since the epoch."""
    time = datetime.fromisoformat(timestamp)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _number(value: Any) -> float | None:
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return float(value)
    return _SPECIAL.get(value) if kind is str else None
