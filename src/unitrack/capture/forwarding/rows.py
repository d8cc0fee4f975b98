"""The rows of a W&B run: values that are logged at one step, in one call or several, are one row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any


class Rows:
    """Counts steps as W&B does. A row is complete when the step moves on: by `commit`, or by a call at a later step.

    A key that is logged again in a row replaces its value, and a call at an earlier step is dropped, as W&B drops it:
    so the captured run holds what the original one does.
    """

    def __init__(self, write: Callable[[dict[str, Any], int], None]) -> None:
        """`write` gets each complete row and its step."""
        self.step = 0
        """The step of the row that is not complete yet."""
        self._write = write
        self._row: dict[str, Any] = {}
        self._lock = threading.RLock()

    def add(self, values: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> int | None:
        """Add values to the row of a step, the current one by default; return it, or None if they were dropped."""
        with self._lock:
            if step is not None:
                if step < self.step:
                    return None
                self.move_to(step)
            at = self.step
            self._row.update(values)
            if commit or (commit is None and step is None):
                self.move_to(at + 1)
            return at

    def move_to(self, step: int) -> None:
        """Complete the row if `step` is a later one."""
        with self._lock:
            if step > self.step:
                self.flush()
                self.step = step

    def forget(self) -> None:
        """Drop the row: the parent of this forked process writes it."""
        self._lock = threading.RLock()  # another thread of the parent may have held the other one
        self._row = {}

    def flush(self) -> None:
        """Write the row, complete or not."""
        with self._lock:
            row, self._row = self._row, {}
            if row:
                self._write(row, self.step)
