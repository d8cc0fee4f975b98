"""One column of a table: values of one type, or None."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, overload

import msgspec

from unitrack.query.comparing import as_number

Kind = Literal["int", "float", "bool", "text", "time"]
"""The type of a column. An int has 64 bits; a time is in milliseconds since the epoch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_INT = 2**53
"""Integers up to here are floats as well."""


class Column(msgspec.Struct, frozen=True):
    """The values of a column: a list that may hold None, or a memoryview or `RepeatedText` without any."""

    kind: Kind
    values: Sequence[Any]

    def objects(self) -> Sequence[Any]:
        """Return the values as a user sees them: times as `datetime` in UTC."""
        return [as_datetime(value) for value in self.values] if self.kind == "time" else self.values


class RepeatedText(Sequence[str]):
    """Texts, each repeated a number of times: a column of a long table, which takes no memory by the row."""

    def __init__(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        self.texts = texts
        self.counts = counts
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return self.texts[bisect_right(self._ends, place)]

    def __iter__(self) -> Iterator[str]:
        for text, count in zip(self.texts, self.counts, strict=True):
            yield from itertools.repeat(text, count)


def column_of(values: Sequence[Any]) -> Column:
    """Return values of any types as a column.

    Integers and floats together are floats if no digit is lost. So is text that is a number beside other numbers, as
    MLflow holds params. Other mixed values become text, as JSON where they are no text already.
    """
    values = [float(value) if isinstance(value, Decimal) else value for value in values]
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool}:
        return Column("bool", values)
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return Column("int", values)
    numbers = [as_number(value) for value in values]
    if kinds & {int, float} and kinds <= {int, float, str} and all(map(_is_exact, values, numbers)):
        return Column("float", [None if number is None else float(number) for number in numbers])
    if kinds == {datetime}:
        return Column("time", [None if value is None else _milliseconds(value) for value in values])
    return Column("text", [_as_text(value) for value in values])


def as_datetime(milliseconds: int | None) -> datetime | None:
    """Return a time in UTC; None for an unknown one and for one after the year 9999."""
    try:
        return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _is_exact(value: object, number: float | None) -> bool:
    """Return whether a value is absent, or a number that a float holds."""
    return value is None or (number is not None and (type(number) is float or abs(number) <= _EXACT_INT))


def _milliseconds(time: datetime) -> int:
    return (time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):  # a type that JSON lacks
        return str(value)
