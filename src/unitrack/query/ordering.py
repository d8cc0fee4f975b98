"""Ordering runs by fields: "-metrics.acc.last", "started"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from unitrack.errors import QueryError
from unitrack.query.comparing import as_number, as_text
from unitrack.query.conditions import Field
from unitrack.query.evaluation import MISSING
from unitrack.query.lexer import Token, tokens_of
from unitrack.query.vocabulary import UnknownNameError, run_field


class OrderKey(msgspec.Struct, frozen=True):
    """A field that runs are ordered by."""

    field: Field
    descending: bool = False

    def key(self, value: Any) -> tuple[int, Any]:
        """Return what a value of the field sorts as: numbers, then texts, then NaN; what is missing comes last."""
        if value is MISSING or value is None:
            return 3, 0
        number = as_number(value)
        if number is None:
            return 1, _Reversed(as_text(value)) if self.descending else as_text(value)
        if math.isnan(number):
            return 2, 0
        return 0, -number if self.descending else number


def heading_of(field: Field) -> str:
    """Return a field as a heading: "metrics.loss.min", "status"."""
    if field.group == "run":
        return field.name
    return ".".join(filter(None, (field.group, field.name, field.statistic)))


class _Reversed:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Reversed) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]


def parse_order(order: str | Iterable[str]) -> tuple[OrderKey, ...]:
    """Return the keys of an order, the most important first: "-metrics.acc.last, started" or a list of such.

    `-` before a field, or MLflow's `DESC` after it, means from the greatest to the least. Raises `QueryError`.
    """
    texts = [order] if isinstance(order, str) else list(order)
    return tuple(key for text in texts for key in _keys(text))


def _keys(text: str) -> Iterable[OrderKey]:
    if not isinstance(text, str):
        raise QueryError(f"an order is text such as '-metrics.acc.last', got {type(text).__name__}", "", 0, 0)
    group: list[Token] = []
    for token in tokens_of(text):
        if token.kind == "end" or token.text == ",":
            yield _key(text, group, token)
            group = []
        else:
            group.append(token)


def _key(text: str, tokens: Sequence[Token], end: Token) -> OrderKey:
    descending = False
    if tokens and tokens[0].text in ("-", "+"):
        descending, tokens = tokens[0].text == "-", tokens[1:]
    if len(tokens) == 2 and tokens[1].text.lower() in ("asc", "desc"):
        descending, tokens = descending != (tokens[1].text.lower() == "desc"), tokens[:1]
    if len(tokens) != 1 or tokens[0].kind != "path":
        place = tokens[0] if len(tokens) == 1 else tokens[1] if tokens else end
        problem = "runs are ordered by fields, such as -metrics.acc.last or started"
        raise QueryError(problem, text, place.start, place.end)
    try:
        return OrderKey(run_field(tokens[0].value), descending)
    except UnknownNameError as error:
        raise QueryError(str(error), text, tokens[0].start, tokens[0].end) from None
