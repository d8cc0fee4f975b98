"""How a refusal is worded: a plugin's in our words, a value so that it fits into a line."""

from __future__ import annotations

from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, UnitrackError


def call_check(check: Any, subject: str, *arguments: Any) -> Any:
    """Call a plugin's validator; what it refuses is refused in our words, so that the message names the culprit."""
    try:
        return check(*arguments)
    except UnitrackError:
        raise
    except TypeError as error:
        raise InvalidTypeError(f"{subject}: {error}") from error
    except ValueError as error:
        raise InvalidValueError(f"{subject}: {error}") from error


def brief(value: object) -> str:
    """A value as it stands in a message: its `repr`, at most 60 characters of it."""
    try:
        text = repr(value)
    except Exception:  # an int of more digits than Python writes out, a list that is nested too deeply, a broken `repr`
        text = f"one of type {type(value).__name__} that has no repr"
    return text if len(text) <= 60 else f"{text[:57]}..."
