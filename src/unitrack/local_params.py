"""The params of a local run: `params.json` has what holds, `params_history.jsonl` each change of a value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.local_source import PARAMS, read_json
from unitrack.records import Params
from unitrack.runfolder import write_atomically

PARAMS_HISTORY = "params_history.jsonl"
"""A line for each change: dotted `name`, `old` and `new` value, `time` in milliseconds, `seq` of the record."""


class LocalParams:
    """Both files are replaced as a whole; `changes`, committed with the offset, is how many lines of history count.

    What a crash left beyond them is undone, so that a change that comes again is there once. A param that is merely
    new is not undone: it comes again with the same value.
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
        """Lines of history."""
        return len(self._history)

    def take(self, records: list[Params]) -> None:
        """Merge records, a later value replacing an earlier one, and write. Raises `OSError`."""
        before = self.changes
        for record in records:
            for name, old, new in _merge(self._params, record.params):
                change = {"name": name, "old": old, "new": new, "time": record.time, "seq": record.seq}
                self._history.append(change)
        self._write(also_history=self.changes > before)

    def _write(self, *, also_history: bool) -> None:
        if also_history:  # first: what is in params.json alone could not be undone
            lines = b"".join(msgspec.json.encode(change) + b"\n" for change in self._history)
            write_atomically(self._folder / PARAMS_HISTORY, lines)
        params = msgspec.json.format(msgspec.json.encode(self._params), indent=2) + b"\n"
        write_atomically(self._folder / PARAMS, params)


def _merge(into: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Merge, and yield the values that were replaced: dotted name, old and new value."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            yield from _merge(into[name], value, f"{path}{name}.")
            continue
        if name in into and msgspec.json.encode(into[name]) != msgspec.json.encode(value):
            yield f"{path}{name}", into[name], value
        into[name] = value


def _put(params: dict[str, Any], name: str, value: Any) -> bool:
    """Set a param by its dotted name, where it is; a key may hold dots itself. Whether it was found."""
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
