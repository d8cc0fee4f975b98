"""A layer: what one place (the call, a variable, a file) sets, before the layers are merged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.errors import ConfigError

MAX_DEPTH = 20
"""Levels of mappings and lists. Options of a sink are two or three deep; this stops one that contains itself."""

KeyPath = tuple[str | int, ...]


class Layer(msgspec.Struct, frozen=True):
    """What one place sets: section -> key -> value."""

    origin: str
    """What users call the place: "call", "environment UNITRACK_SINKS", a path."""
    values: dict[str, Any]
    lines: dict[KeyPath, int] = {}
    """For a file whose reader knows them: the line of each key, from 1."""

    def where(self, path: KeyPath) -> str:
        """Return the place of a key, as an error message names it."""
        for length in range(len(path), 0, -1):
            if line := self.lines.get(path[:length]):
                return f"{self.origin}:{line}"
        return self.origin


def make_layer(origin: str, values: object, lines: dict[KeyPath, int] | None = None) -> Layer:
    """Return a layer with a copy of `values`, made of dicts, lists and scalars: later changes of theirs do not reach
    it.

    Raises `ConfigError` if `values` is no mapping, or nested deeper than `MAX_DEPTH`.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin}: expected a mapping of sections at the top, got {type(values).__name__}")
    return Layer(origin, _plain(values, origin), lines or {})


def _plain(value: object, origin: str, depth: int = 0) -> Any:
    if isinstance(value, Mapping | list | tuple):
        if depth == MAX_DEPTH:
            raise ConfigError(f"{origin}: nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, Mapping):
            return {key: _plain(item, origin, depth + 1) for key, item in value.items()}
        return [_plain(item, origin, depth + 1) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def dotted(path: KeyPath) -> str:
    """Return a path as users write it: tracking.sinks[0]."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
