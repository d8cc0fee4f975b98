"""Arguments of log calls that are no metrics and no params: paths, texts, numbers, lists of names."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.params import plain_text
from unitrack.validation.refusing import brief


def as_path(value: object, what: str) -> Path:
    """A path. Raises `InvalidTypeError` for what is none, bytes among it."""
    if isinstance(value, str | os.PathLike) and isinstance(found := os.fspath(value), str):
        return Path(found)
    raise InvalidTypeError(f"{what} must be a path, got {type(value).__name__} {brief(value)}")


def as_text(value: object, what: str) -> str:
    """A text that UTF-8 can hold. Raises `InvalidTypeError` for what is none."""
    if isinstance(value, str):
        return plain_text(value)
    raise InvalidTypeError(f"{what} must be a string, got {type(value).__name__} {brief(value)}")


def as_positive(value: Any, what: str, most: float = math.inf) -> float:
    """A number above 0 and at most `most`. Raises `InvalidTypeError` or `InvalidValueError` for others."""
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
    """A list of texts. Raises `InvalidTypeError` for others: a single text too, which is a likely mistake."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise InvalidTypeError(f"{what} must be a list of strings, got {type(value).__name__} {brief(value)}")
    try:
        items = list(value)
    except TypeError:  # an array without dimensions
        items = [value]
    return [as_text(item, f"each of {what}") for item in items]
