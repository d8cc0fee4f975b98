"""What stands where a run's journal was, or will be. They are not asked for what they are, only used."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from unitrack.errors import RunFinishedError
from unitrack.journal.writer import JournalWriter

if TYPE_CHECKING:
    from unitrack.run_state import RunState


class FinishedJournal:
    """Stands where the journal of a finished run was."""

    def __init__(self, run: RunState) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        run = self._run
        raise RunFinishedError(f"run {run.name!r} has finished; start another, or resume it with run_id={run.id!r}")


class LaterJournal:
    """Stands where the journal of a child or a worker will be, until that uses it."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._real: JournalWriter | None = None
        self._making = threading.Lock()

    def sync(self) -> None:
        """Nothing is written yet, and housekeeping is no reason to begin."""

    def beat(self) -> None:
        """There is no journal yet."""

    def __getattr__(self, name: str) -> Any:
        with self._making:
            if self._real is None:
                self._real = self._make()
                self._run._journal = self._real
        return getattr(self._real, name)

    def _make(self) -> JournalWriter:
        folder = self._run._folder
        with contextlib.suppress(FileNotFoundError), folder.spool_lock():  # so that no lane removes the spool now
            if folder.spool.exists():
                return JournalWriter(folder.spool)
        raise RunFinishedError(f"run {self._run.name!r} has been ended by the process that owns it; log before it does")
