"""The params of a local run: `params.json` holds the newest values, `params_history.jsonl` each change of a value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.local.source import PARAMS, read_json
from unitrack.records import Params, merge
from unitrack.system.atomic import write_atomically
from unitrack.values.plain import changed_params

PARAMS_HISTORY = "params_history.jsonl"
"""A line for each change: dotted `name`, `old` and `new` value, `time` in milliseconds, `seq` of the record."""


class LocalParams:
    """The two files, each replaced as a whole. `changes`, committed with the offset, is the number of lines of history.

    Opening undoes the changes that a crash left beyond that number, so that a change that is delivered again is there
    once. A new param is not undone: it is delivered again with the same value.
    """

    def __init__(self, folder: Path, committed: int | None) -> None:
        self._folder = folder
        self._params = read_json(folder / PARAMS)
        self._history = _read_lines(folder / PARAMS_HISTORY)
        if committed is not None and committed < len(self._history):
            for change in reversed(self._history[committed:]):
                _put(self._params, change["name"], change["old"])
            del self._history[committed:]
            self._write(also_history=True)

    @property
    def changes(self) -> int:
        """The number of lines of history."""
        return len(self._history)

    def take(self, records: list[Params]) -> None:
        """Merge records, a later value replacing an earlier one, and write. Raises `OSError`."""
        before = self.changes
        for record in records:
            for name, old, new in _replaced(self._params, record.params):
                change = {"name": name, "old": old, "new": new, "time": record.time, "seq": record.seq}
                self._history.append(change)
            self._params = merge(self._params, record.params)
        self._write(also_history=self.changes > before)

    def _write(self, *, also_history: bool) -> None:
        if also_history:  # first: a change that is in params.json alone could not be undone
            lines = b"".join(msgspec.json.encode(change) + b"\n" for change in self._history)
            write_atomically(self._folder / PARAMS_HISTORY, lines)
        params = msgspec.json.format(msgspec.json.encode(self._params), indent=2) + b"\n"
        write_atomically(self._folder / PARAMS, params)


def _replaced(known: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the values that `new` replaces: dotted name, old and new value."""
    for name, value in changed_params(known, new).items():
        if name not in known:
            continue
        old = known[name]
        if isinstance(value, dict) and isinstance(old, dict):
            yield from _replaced(old, value, f"{path}{name}.")
        else:
            yield f"{path}{name}", old, value


def _put(params: dict[str, Any], name: str, value: Any) -> bool:
    """Set a param by its dotted name if it is there, and return whether it is. Keys may hold dots themselves."""
    if name in params:
        params[name] = value
        return True
    return any(
        isinstance(inner, dict) and name.startswith(f"{key}.") and _put(inner, name[len(key) + 1 :], value)
        for key, inner in params.items()
    )


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    except (FileNotFoundError, ValueError):
        return []
