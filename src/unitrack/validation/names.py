"""The check of names of metrics, params and tags."""

from __future__ import annotations

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.validation.messages import brief


def check_name(name: object, kind: str, max_length: int) -> str:
    """Return the name of a metric, a param or a tag. Raises `InvalidTypeError` or `InvalidValueError` for a bad one.

    `kind` names it in the message; `max_length` is in characters.
    """
    if not isinstance(name, str):
        raise InvalidTypeError(f"{kind} name {brief(name)} must be a string, got {type(name).__name__}")
    if not name:
        raise InvalidValueError(f"{kind} name is empty")
    if len(name) > max_length:
        raise InvalidValueError(
            f"{kind} name {name[:40]!r}... has {len(name)} characters, {max_length} are allowed "
            "(safeguards.max_name_length)"
        )
    if not name.isprintable() and any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in name):
        raise InvalidValueError(f"{kind} name {name!r} holds control characters or broken Unicode")
    return name
