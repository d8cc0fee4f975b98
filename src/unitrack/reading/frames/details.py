"""The tables of what runs hold: one row a param, a tag, or a metric of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unitrack.query.comparing import as_number
from unitrack.reading.frames.column import Column, Kind, column_of
from unitrack.reading.frames.table import Table
from unitrack.reading.stored_run import StoredRun

_STATISTICS: dict[str, Kind] = {
    "last": "float",
    "last_step": "int",
    "first": "float",
    "min": "float",
    "max": "float",
    "mean": "float",
    "points": "int",
    "step_of_min": "int",
    "step_of_max": "int",
}


def params_table(runs: Sequence[StoredRun]) -> Table:
    """Return the params: `run_id`, `location`, `name`, `value` as text, and `number` for those that are numbers.

    Text that is a number is one as well, since some backends hold text alone.
    """
    rows = [(run, name, value) for run in runs for name, value in run.params.items()]
    numbers = Column("float", [_number(value) for _, _, value in rows])
    return Table(_identity([run for run, _, _ in rows]) | _named(rows) | {"number": numbers})


def tags_table(runs: Sequence[StoredRun]) -> Table:
    """Return the tags: `run_id`, `location`, `name`, `value`."""
    rows = [(run, name, value) for run in runs for name, value in run.tags.items()]
    return Table(_identity([run for run, _, _ in rows]) | _named(rows))


def metrics_table(runs: Sequence[StoredRun]) -> Table:
    """Return the metrics in short: `run_id`, `location`, `metric`, and the fields of `MetricSummary`."""
    rows = [(run, name, metric) for run in runs for name, metric in run.metrics.items()]
    columns = _identity([run for run, _, _ in rows]) | {"metric": Column("text", [name for _, name, _ in rows])}
    for name, kind in _STATISTICS.items():
        columns[name] = Column(kind, [getattr(metric, name) for _, _, metric in rows])
    return Table(columns)


def _identity(runs: Sequence[StoredRun]) -> dict[str, Column]:
    return {
        "run_id": Column("text", [run.id for run in runs]),
        "location": Column("text", [str(run.location) for run in runs]),
    }


def _named(rows: Sequence[tuple[StoredRun, str, Any]]) -> dict[str, Column]:
    values = [value if value is None or isinstance(value, str) else column_of([value, ""]) for _, _, value in rows]
    texts = [value.values[0] if isinstance(value, Column) else value for value in values]
    return {"name": Column("text", [name for _, name, _ in rows]), "value": Column("text", texts)}


def _number(value: object) -> float | None:
    number = None if isinstance(value, bool) else as_number(value)
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None
