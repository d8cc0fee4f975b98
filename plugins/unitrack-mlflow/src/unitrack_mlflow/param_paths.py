"""Nested params under dotted names, and back.

MLflow knows no nesting: {"model": {"depth": 4}} is its param "model.depth". So a dot is read back as nesting. Where it
belongs to a name ("lr.max"), a tag holds the true path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from unitrack_mlflow import limits

Path = tuple[str, ...]


def leaves(params: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each leaf with its path. An empty mapping is a leaf, as for `unitrack.records.flatten`."""
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def tag_of(path: Path) -> str | None:
    """Return the text of a tag from which `path_of` restores `path`; None if the dotted name is enough."""
    if not any("." in name for name in path):
        return None
    text = json.dumps(path, ensure_ascii=False)
    return text if len(text) <= limits.TAG_LENGTH else None


def path_of(name: str, tag: str | None) -> Path:
    """The path of a dotted name, by its tag if it has one."""
    return tuple(json.loads(tag)) if tag else tuple(name.split("."))


def nest(found: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """Leaves as the nested params that they came from.

    "a" and "a.b", which no one log call can hold, stay apart: the second keeps its dotted name.
    """
    params: dict[str, Any] = {}
    for path, value in found:
        if not _place(params, path, value):
            params[".".join(path)] = value
    return params


def _place(params: dict[str, Any], path: Path, value: Any) -> bool:
    *above, last = path
    for name in above:
        inner = params.setdefault(name, {})
        if not isinstance(inner, dict):
            return False
        params = inner
    if isinstance(params.get(last), dict):
        return bool(value == {})  # the mapping that was empty has been filled
    params[last] = value
    return True
