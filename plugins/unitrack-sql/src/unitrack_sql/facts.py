"""Params and tags: a row for each name, with its newest value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from unitrack.errors import RecordRejectedError
from unitrack.records import Params, Tags
from unitrack_sql.names import digest, restored, stored
from unitrack_sql.store import Fence, Store
from unitrack_sql.upserts import Upsert

_PARAMS = Upsert(
    "unitrack_params",
    keys=("digest",),
    values=("name", "path", "value", "number"),
    kept=("position",),
    types={"value": "text", "number": "double precision"},
)
_TAGS = Upsert("unitrack_tags", ("digest",), ("name", "value"), kept=("position",), types={"value": "text"})
_NEW_TAGS = Upsert("unitrack_tags", ("digest",), (), kept=("name", "value", "position"), types={"value": "text"})
_IN_A_CALL = 10_000
"""`position` is the time of the first log call in milliseconds, times this, plus the place in that call."""


class Facts:
    """Writes params and tags of one run."""

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence

    def write_params(self, records: Iterable[Params]) -> None:
        """Write params by their dotted names, the last value of each."""
        rows: dict[str, tuple[Any, ...]] = {}
        for record in records:
            for place, (path, value) in enumerate(_leaves((), record.params)):
                name = ".".join(path)
                key = digest(name)
                position = rows[key][-1] if key in rows else _position(record.time, place)
                rows[key] = (key, stored(name), _json(path, name), _json(value, name), _number(value), position)
        self._write(_PARAMS, ("digest", "name", "path", "value", "number", "position"), rows.values())

    def write_tags(self, records: Iterable[Tags]) -> None:
        """Write tags, the last value of each."""
        rows: dict[str, tuple[Any, ...]] = {}
        for record in records:
            for place, (name, value) in enumerate(record.tags.items()):
                key = digest(name)
                position = rows[key][-1] if key in rows else _position(record.time, place)
                rows[key] = (key, stored(name), stored(value), position)
        self._write(_TAGS, ("digest", "name", "value", "position"), rows.values())

    def add_tags(self, tags: Mapping[str, str], time: int) -> None:
        """Write tags that the run does not have: those that it started with."""
        rows = [
            (digest(name), stored(name), stored(value), _position(time, place))
            for place, (name, value) in enumerate(tags.items())
        ]
        self._write(_NEW_TAGS, ("digest", "name", "value", "position"), rows)

    def _write(self, upsert: Upsert, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [() for _ in names]
        work = upsert.of(dict(zip(names, columns, strict=True)), self._fence, is_postgresql=self._store.is_postgresql)
        self._store.write(work)


def nested(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the params of rows with a path and a value, nested as they were logged.

    One mapping holds all of them, unless a param is both a value and a level above others.
    """
    trees: list[_Tree] = [_Tree()]
    for row in rows:
        path, value = tuple(msgspec.json.decode(row.path)), msgspec.json.decode(row.value)
        if not any(tree.put(path, value) for tree in trees):
            trees.append(_Tree())
            trees[-1].put(path, value)
    yield from (tree.params for tree in trees if tree.params)


def flat(rows: Iterable[Any]) -> dict[str, Any]:
    """Return the params of rows by their dotted names."""
    return {restored(row.name): msgspec.json.decode(row.value) for row in rows}


class _Tree:
    """Params that are nested again."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._levels: dict[tuple[str, ...], dict[str, Any]] = {(): self.params}
        self._values: set[tuple[str, ...]] = set()

    def put(self, path: tuple[str, ...], value: Any) -> bool:
        """Put a value in its place; False if there is another value, or a level, in the way."""
        above = [path[:depth] for depth in range(1, len(path))]
        if path in self._levels or not self._values.isdisjoint(above):
            return False
        for level in above:
            if level not in self._levels:
                self._levels[level] = self._levels[level[:-1]][level[-1]] = {}
        self._values.add(path)
        self._levels[path[:-1]][path[-1]] = value
        return True


def _position(time: int, place: int) -> int:
    return time * _IN_A_CALL + min(place, _IN_A_CALL - 1)


def _json(value: Any, name: str) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError) as error:  # half of a surrogate pair, in an old journal
        raise RecordRejectedError(f"the param {name!r} is no JSON: {error}") from error


def _number(value: Any) -> float | None:
    """Return a number as float64, to search in; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _leaves(path: tuple[str, ...], params: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each param; an empty mapping is a value."""
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves((*path, name), value)
        else:
            yield (*path, name), value
