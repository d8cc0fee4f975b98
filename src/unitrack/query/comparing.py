"""Comparing two values of which a backend may have stored one as text."""

from __future__ import annotations

import math
import operator as operators
from collections.abc import Callable
from typing import Any

from unitrack.query.conditions import Operator
from unitrack.query.patterns import matches

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}
_BOOLS = {"true": True, "false": False}
_NULLS = ("none", "null")


def compare(left: Any, operator: Operator, right: Any, *, numeric_texts: bool = False) -> bool:
    """Return whether a comparison of two values holds; none of them is missing.

    A number in a text is a number where the other side is one, and with `numeric_texts` where both are texts. NaN
    equals NaN. Values that have no order, such as a number and a word, are neither less nor greater.
    """
    match operator:
        case "==":
            return _equal(left, right, numeric_texts)
        case "!=":
            return not _equal(left, right, numeric_texts)
        case "in":
            return _contains(right, left, numeric_texts)
        case "not in":
            return not _contains(right, left, numeric_texts)
        case "~" | "like" | "ilike":
            return matches(as_text(left), operator, right)
        case "has":
            return True
    left, right = _aligned(left, right, numeric_texts)
    comparable = all(isinstance(one, int | float) for one in (left, right)) or (
        isinstance(left, str) and isinstance(right, str)
    )
    return comparable and _ORDERS[operator](left, right)


def as_number(value: Any) -> int | float | None:
    """Return a number, also one in a text; None if it is none."""
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or "_" in value:
        return None
    for convert in (int, float):
        try:
            return convert(value)
        except ValueError:
            continue
    return None


def as_text(value: Any) -> str:
    """Return a value as text, as MLflow would store it."""
    return value if isinstance(value, str) else str(value)


def _equal(left: Any, right: Any, numeric_texts: bool) -> bool:
    if left is None or right is None:
        return all(one is None or (isinstance(one, str) and one.lower() in _NULLS) for one in (left, right))
    left, right = _aligned(left, right, numeric_texts)
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return True
    return bool(left == right) or (isinstance(left, str) != isinstance(right, str) and as_text(left) == as_text(right))


def _contains(container: Any, value: Any, numeric_texts: bool) -> bool:
    if isinstance(container, str):
        return isinstance(value, str) and value in container
    if isinstance(container, tuple | list):
        return any(_equal(value, one, numeric_texts) for one in container)
    return False


def _aligned(left: Any, right: Any, numeric_texts: bool) -> tuple[Any, Any]:
    """Return two values as bools, or else as numbers, where both can be; else as they are."""
    if isinstance(left, bool) or isinstance(right, bool):
        converted = [_BOOLS.get(one.lower()) if isinstance(one, str) else one for one in (left, right)]
    elif numeric_texts or not (isinstance(left, str) and isinstance(right, str)):
        converted = [as_number(left), as_number(right)]
    else:
        return left, right
    return (left, right) if None in converted else (converted[0], converted[1])
