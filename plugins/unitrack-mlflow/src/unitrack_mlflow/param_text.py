"""Params as the text that MLflow keeps, and back.

The text is `str(value)`, as MLflow's own `log_param` writes it. `parse` gives the value back, so that a number is a
number again on reading; text that would be misread has to be marked (`reads_as_other`).
"""

from __future__ import annotations

import ast
from typing import Any

_WORDS: dict[str, Any] = {"None": None, "True": True, "False": False}


def text_of(value: Any) -> str:
    """`value` as MLflow users expect to see it."""
    return str(value)


def reads_as_other(value: Any) -> bool:
    """Return whether `value` is text that `parse` would read as another type."""
    return isinstance(value, str) and (value.startswith(("[", "{")) or not isinstance(_scalar(value), str))


def parse(text: str) -> Any:
    """The value whose `text_of` is `text`."""
    if text.startswith(("[", "{")):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text
    return _scalar(text)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            value = kind(text)
            if str(value) == text:
                return value
        except ValueError:
            continue
    return text
