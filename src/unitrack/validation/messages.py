"""Error messages of checks: values shortened to fit a line, and errors of plugins' checks with their subject."""

from __future__ import annotations

from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, UnitrackError


def call_check(check: Any, subject: str, *arguments: Any) -> Any:
    """Call a plugin's validator. Its `TypeError` and `ValueError` become unitrack's errors, which name the subject."""
    try:
        return check(*arguments)
    except UnitrackError:
        raise
    except TypeError as error:
        raise InvalidTypeError(f"{subject}: {error}") from error
    except ValueError as error:
        raise InvalidValueError(f"{subject}: {error}") from error


def brief(value: object) -> str:
    """Return a value as a message shows it: its `repr`, cut to 60 characters."""
    try:
        text = repr(value)
    except Exception:  # an int with too many digits for Python, a list nested too deeply, a broken `__repr__`
        text = f"one of type {type(value).__name__} that has no repr"
    return text if len(text) <= 60 else f"{text[:57]}..."
