"""Checks of the other arguments of log calls: paths, texts, numbers, lists of names."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.validation.messages import brief
from unitrack.values.plain import plain_text


def as_path(value: object, what: str) -> Path:
    """Return `value` as a path. Raises `InvalidTypeError` for anything that is not one, bytes included."""
    if isinstance(value, str | os.PathLike) and isinstance(found := os.fspath(value), str):
        return Path(found)
    raise InvalidTypeError(f"{what} must be a path, got {type(value).__name__} {brief(value)}")


def as_text(value: object, what: str) -> str:
    """Return a text that UTF-8 can hold. Raises `InvalidTypeError` for anything that is not a string."""
    if isinstance(value, str):
        return plain_text(value)
    raise InvalidTypeError(f"{what} must be a string, got {type(value).__name__} {brief(value)}")


def as_positive(value: Any, what: str, most: float = math.inf) -> float:
    """Return a number above 0 and at most `most`. Raises `InvalidTypeError` or `InvalidValueError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidTypeError(f"{what} must be a number, got {type(value).__name__} {brief(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (0 < number <= most and math.isfinite(number)):
        upper = "" if math.isinf(most) else f" and at most {most:g}"
        raise InvalidValueError(f"{what} must be above 0{upper}, got {brief(value)}")
    return number


def as_names(value: object, what: str) -> list[str]:
    """Return a list of texts from a list, a set, an array or another iterable.

    Raises `InvalidTypeError` otherwise, also for a single text and for a mapping, which are likely mistakes.
    """
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        hint = f": write [{brief(value)}]" if isinstance(value, str) else ""
        raise InvalidTypeError(f"{what} must be a list of strings, got {type(value).__name__} {brief(value)}{hint}")
    try:
        items = list(value)
    except TypeError:  # an array without dimensions
        items = [value]
    return [as_text(item, f"each of {what}") for item in items]


def as_flag(value: object, what: str) -> bool:
    """Return True or False. Raises `InvalidTypeError` for anything else, such as 1 or "yes"."""
    if isinstance(value, bool):
        return value
    raise InvalidTypeError(f"{what} must be True or False, got {type(value).__name__} {brief(value)}")
