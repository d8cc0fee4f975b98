"""The two tables of an export: one row a run, and one row a point."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from unitrack.manager.exporting.writers import Columns, Row, spelled
from unitrack.query.comparing import as_number
from unitrack.reading import StoredRun
from unitrack.records import Metrics

POINTS = {
    "run_id": "VARCHAR",
    "run_name": "VARCHAR",
    "location": "VARCHAR",
    "metric": "VARCHAR",
    "step": "BIGINT",
    "value": "DOUBLE",
    "time": "TIMESTAMPTZ",
}
"""The columns of the points, with their types in DuckDB; those of `unitrack.reading.frames`."""

Admit = Callable[[str], bool]
"""Whether a metric is wanted."""
_IDENTITY = {
    "run_id": "VARCHAR",
    "name": "VARCHAR",
    "project": "VARCHAR",
    "status": "VARCHAR",
    "started": "TIMESTAMPTZ",
    "ended": "TIMESTAMPTZ",
    "location": "VARCHAR",
    "description": "VARCHAR",
    "unitrack_id": "VARCHAR",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_INT = 2**53
"""Integers up to here are floats as well."""


def points_of(run: StoredRun, admit: Admit) -> Iterator[Row]:
    """Yield the points of the metrics that `admit` returns True for, in the order of logging."""
    run_id, name, location = run.id, run.name, str(run.location)
    for record in run.records():
        if isinstance(record, Metrics):
            time = iso(record.time)
            for metric, value in record.values().items():
                if admit(metric):
                    yield {
                        "run_id": run_id,
                        "run_name": name,
                        "location": location,
                        "metric": metric,
                        "step": record.step,
                        "value": spelled(value),
                        "time": time,
                    }


class RunsTable:
    """The runs: their identity, then `params.NAME`, `metrics.NAME` (the value in the summary) and `tags.NAME`."""

    def __init__(self, runs: Iterable[StoredRun], admit: Admit) -> None:
        self.rows = [_row_of(run, admit) for run in runs]
        """One a run, without the columns that it lacks."""

    def columns(self) -> Columns:
        """Return the columns with their types in DuckDB.

        One whose values are of several types holds text, as JSON where it is no text already. Numbers in text are
        numbers where another run has a number: MLflow keeps each param as text.
        """
        values: dict[str, list[Any]] = {}
        for row in self.rows:
            for name, value in row.items():
                values.setdefault(name, []).append(value)
        groups = ("params.", "metrics.", "tags.")
        own = [name for group in groups for name in sorted(values) if name.startswith(group)]
        metrics = {name: "DOUBLE" for name in own if name.startswith("metrics.")}  # also where each is NaN
        return _IDENTITY | {name: _type_of(values[name]) for name in own} | metrics

    def typed_rows(self) -> Iterator[Row]:
        """Yield the rows with values of the types of their columns."""
        columns = self.columns()
        for row in self.rows:
            yield {name: _typed(value, columns[name]) for name, value in row.items()}


def _row_of(run: StoredRun, admit: Admit) -> dict[str, Any]:
    identity = {
        "run_id": run.id,
        "name": run.name,
        "project": run.project,
        "description": run.description,
        "location": str(run.location),
        "unitrack_id": run.unitrack_id,
        "status": run.status,
        "started": iso(run.started) if run.started else None,
        "ended": None if run.ended is None else iso(run.ended),
    }
    params = {f"params.{name}": value for name, value in run.params.items()}
    metrics = {f"metrics.{name}": spelled(value) for name, value in run.summary.items() if admit(name)}
    return {**identity, **params, **metrics, **{f"tags.{name}": value for name, value in run.tags.items()}}


def _type_of(values: Sequence[Any]) -> str:
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        return "BIGINT"
    numbers = [as_number(value) for value in present if type(value) in (int, float, str)]
    if kinds & {int, float} and len(numbers) == len(present) and all(map(_is_float, numbers)):
        return "DOUBLE"
    return "VARCHAR"


def _is_float(number: float | None) -> bool:
    return isinstance(number, float) or (number is not None and abs(number) <= _EXACT_INT)


def _typed(value: Any, kind: str) -> Any:
    if value is None or (kind == "VARCHAR" and isinstance(value, str)):
        return value
    if kind == "VARCHAR":
        return msgspec.json.encode(value).decode()
    return spelled(float(value)) if kind == "DOUBLE" and isinstance(value, str) else value


def iso(time: int) -> str | None:
    """Return milliseconds since the epoch as text, "2026-11-26T19:20:00.123Z"; None before the year 1."""
    seconds, milliseconds = divmod(time, 1000)
    second = _second(seconds)
    return None if second is None else f"{second}.{milliseconds:03d}Z"


@functools.lru_cache(maxsize=256)
def _second(seconds: int) -> str | None:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        return None
