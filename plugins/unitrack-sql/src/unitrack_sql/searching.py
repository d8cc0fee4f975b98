"""The conditions that the database searches by itself.

What is left out is certainly not meant; what stays is checked again by the caller. So each filter may let through too
much, and lets through what the database compares in another way than Python: texts that hold numbers, NaN, and integers
that no float64 holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Double, Select, and_, bindparam, exists, or_, select

from unitrack.hookspecs import Condition
from unitrack_sql.names import digest, stored
from unitrack_sql.schema import METRICS, PARAMS, RUNS, TAGS

_STATISTICS = {
    None: "last",
    "last": "last",
    "first": "first",
    "min": "min",
    "max": "max",
    "mean": "mean",
    "count": "points",
    "step_of_min": "step_of_min",
    "step_of_max": "step_of_max",
}
_TEXTS_OF_A_RUN = {"name": RUNS.c.name, "id": RUNS.c.id, "project": RUNS.c.project, "status": RUNS.c.status}
_TIMES_OF_A_RUN = {"started": RUNS.c.started, "ended": RUNS.c.ended}


def filtered(runs: Select[Any], conditions: Sequence[Condition]) -> Select[Any]:
    """Return a selection of runs without those for which a condition is certainly false."""
    for condition in conditions:
        found = _filter_of(condition)
        if found is not None:
            runs = runs.where(found)
    return runs


def _filter_of(condition: Condition) -> ColumnElement[bool] | None:
    """Return the filter of a condition; None if all runs may be meant. A run without the field is never meant."""
    name = condition.field.name
    match condition.field.group:
        case "run":
            return _of_run(condition)
        case "tags":
            return exists(
                select(1).where(
                    TAGS.c.run_key == RUNS.c.key, TAGS.c.digest == digest(name), _or_all(_text(TAGS.c.value, condition))
                )
            )
        case "params":
            return exists(
                select(1).where(
                    PARAMS.c.run_key == RUNS.c.key, PARAMS.c.digest == digest(name), _or_all(_param(condition))
                )
            )
        case "metrics":
            column = METRICS.c[_STATISTICS[condition.field.statistic]]
            number = _number(column, condition)
            return exists(
                select(1).where(
                    METRICS.c.run_key == RUNS.c.key,
                    METRICS.c.name == stored(name),
                    METRICS.c.points > 0,
                    _or_all(None if number is None else or_(number, column.is_(None))),
                )
            )
    return None


def _of_run(condition: Condition) -> ColumnElement[bool] | None:
    name = condition.field.name
    if name in _TEXTS_OF_A_RUN:
        return _text(_TEXTS_OF_A_RUN[name], condition)
    if name in _TIMES_OF_A_RUN:
        return _number(_TIMES_OF_A_RUN[name], condition)
    return None


def _text(column: ColumnElement[str], condition: Condition) -> ColumnElement[bool] | None:
    """Return the filter for a column of texts that must be one of those in the query."""
    values = _values(condition)
    if values is None or not all(isinstance(value, str) and _has_one_spelling(value) for value in values):
        return None
    return column.in_([stored(value) for value in values])


def _param(condition: Condition) -> ColumnElement[bool] | None:
    values = _values(condition)
    if values is not None and all(isinstance(value, str) and _has_one_spelling(value) for value in values):
        texts = [msgspec.json.encode(value).decode() for value in values]
        return or_(PARAMS.c.value.in_(texts), PARAMS.c.value.not_like('"%'))  # True equals "True"
    number = _number(PARAMS.c.number, condition)
    return None if number is None else or_(number, PARAMS.c.number.is_(None))


def _number(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool] | None:
    """Return the filter for a column of numbers. Limits are included, as a float64 may be a rounded integer."""
    values = _values(condition)
    if values is not None:
        numbers = [number for value in values if (number := _float(value)) is not None]
        return or_(*(column == number for number in numbers)) if len(numbers) == len(values) > 0 else None
    limit = _float(condition.value)
    if limit is None:
        return None
    match condition.operator:
        case "<" | "<=":
            return column <= limit
        case ">" | ">=":
            return column >= limit
    return None


def _values(condition: Condition) -> tuple[Any, ...] | None:
    if condition.operator == "==":
        return (condition.value,)
    if condition.operator == "in" and isinstance(condition.value, tuple):
        return condition.value
    return None


def _float(value: Any) -> BindParameter[float] | None:
    """Return a number as a parameter of the type float64; None for what is no number, and for NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    try:
        return bindparam(None, float(value), type_=Double())
    except OverflowError:
        return None


def _has_one_spelling(text: str) -> bool:
    """Return whether only this text is equal to the text: it is no number, no bool and no null."""
    try:
        float(text)
    except ValueError:
        return text.lower() not in ("true", "false", "none", "null")
    return False


def _or_all(found: ColumnElement[bool] | None) -> ColumnElement[bool]:
    return and_(True) if found is None else found
