"""A lane's ledger on disk: one that could not be read is never replaced by one that knows less."""

from __future__ import annotations

import os
from pathlib import Path

from unitrack.delivery.ledger import Ledger
from unitrack.disk_trouble import remedy
from unitrack.errors import SinkUnavailableError
from unitrack.owner import process_start


class LedgerFile:
    """Read and written by the one lane that holds the sink's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unreadable: OSError | None = None

    @property
    def is_lost(self) -> bool:
        """Whether there is a ledger that could not be read the last time."""
        return self._unreadable is not None

    def read(self) -> Ledger:
        """What is committed. A fresh one if it is lost: to hold what is said of the trouble, not to deliver with.

        With a fresh one the sink would begin anew, and lose what stood in segments that are deleted.
        """
        self._unreadable = None
        try:
            return Ledger.read(self._path)
        except OSError as error:
            self._unreadable = error
            return Ledger()

    def insist(self) -> None:
        """Raises `SinkUnavailableError` if the ledger is lost."""
        if (error := self._unreadable) is not None:
            raise SinkUnavailableError(f"can't read the ledger ({error.strerror}); {remedy(error.errno)}") from error

    def save(self, ledger: Ledger) -> bool:
        """Whether it is on disk. If that is full, what is not committed will be delivered again: it is safe."""
        if self.is_lost:
            return False  # it would replace the one on disk
        try:
            ledger.pid, ledger.pid_started = os.getpid(), process_start(os.getpid())
            ledger.save(self._path)
        except OSError as error:
            ledger.last_error = f"can't write the ledger ({error.strerror}); {remedy(error.errno)}"
            return False
        return True
