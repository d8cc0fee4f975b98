"""Constants that stand beside a field of their own kind: a status, a time, a duration."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, get_args

from unitrack.errors import QueryError
from unitrack.names import nearest
from unitrack.query.conditions import Field
from unitrack.query.moments import milliseconds_of, seconds_of
from unitrack.query.tree import Constant
from unitrack.records import RunStatus

_STATUSES: tuple[str, ...] = get_args(RunStatus)


def fit(field: Field, constant: Constant, query: str) -> Constant:
    """Return a constant as the values of the field are: times in milliseconds, durations in seconds.

    Raises `QueryError` for one that no value of the field can equal.
    """
    convert = _CONVERSIONS.get(field.name) if field.group == "run" else None
    if convert is None:
        return constant
    try:
        value = constant.value
        fitting = tuple(map(convert, value)) if isinstance(value, tuple) else convert(value)
    except ValueError as error:
        raise QueryError(str(error), query, constant.start, constant.end) from None
    return Constant(start=constant.start, end=constant.end, value=fitting)


def _status(value: Any) -> Any:
    text = str(value).lower()
    if text in _STATUSES:
        return text
    close = nearest(text, _STATUSES)
    hint = f"did you mean {close!r}?" if close else f"it is {', '.join(_STATUSES)}"
    raise ValueError(f"there is no status {str(value)[:100]!r}: {hint}")


def _moment(value: Any) -> Any:
    if isinstance(value, int | float) and value < 0:  # -7d, which is a number of seconds
        return (time.time() + value) * 1000
    found = milliseconds_of(value) if isinstance(value, str) else value
    if found is None and value is not None:
        raise ValueError(f"{value[:100]!r} is no time: write '2026-11-01', '2026-11-01 14:30' or, for ago, '-7d'")
    return found


def _duration(value: Any) -> Any:
    found = seconds_of(value) if isinstance(value, str) else value
    if found is None and value is not None:
        raise ValueError(f"{value[:100]!r} is no duration: write seconds, or '90s', '2h', '1h30m', '7d'")
    return found


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "status": _status,
    "started": _moment,
    "ended": _moment,
    "duration": _duration,
}
