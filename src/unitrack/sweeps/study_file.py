"""The file of a study on one local disk: Optuna's journal, made to survive any kill and not to wait for the disk."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from unitrack.sweeps.engine import load_optuna
from unitrack.system.locks import FileLock


class StudyFileLock:
    """Optuna's lock on a journal file, in two ways better: the kernel frees it when its holder dies, and each new
    holder removes the line that a writer left half written, which would make the whole file unreadable.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = FileLock(journal.with_suffix(".lock"))

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire(wait=True)
        with contextlib.suppress(FileNotFoundError):
            remove_torn_line(self._journal)
        return True

    def release(self) -> None:
        """Free the lock."""
        self._lock.release()


def remove_torn_line(journal: Path) -> None:
    """Cut a file after its last newline: what follows was never acknowledged to its writer."""
    with open(journal, "r+b") as file:
        end = keep = file.seek(0, os.SEEK_END)
        size = 1  # the last byte is a newline unless a writer died
        while keep:
            start = max(0, keep - size)
            file.seek(start)
            found = file.read(keep - start).rfind(b"\n")
            if found >= 0:
                keep = start + found + 1
                break
            keep, size = start, 65_536
        if keep != end:
            file.truncate(keep)


def open_backend(journal: Path) -> Any:
    """Return Optuna's backend of a journal file. Raises `OSError` if the file can't be made."""

    class StudyFile(load_optuna().storages.journal.JournalFileBackend):  # type: ignore[misc]  # Optuna is optional
        """Appends without waiting for the disk: a kill loses nothing, and `StudyPlace.sync` bounds a power loss.

        Optuna's own syncs after each of the five lines of a trial.
        """

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            """Append records in one write."""
            lines = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs).encode()
            lock.acquire()
            try:
                with open(journal, "ab", buffering=0) as file:
                    written = file.write(lines)
                if written != len(lines):  # the disk is full; the next holder of the lock removes the part
                    raise OSError(28, "the disk is full", str(journal))
            finally:
                lock.release()

    lock = StudyFileLock(journal)
    backend = StudyFile(str(journal), lock)
    lock.acquire()
    lock.release()
    return backend
