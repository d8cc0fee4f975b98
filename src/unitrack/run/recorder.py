"""The recorder of a run: its identity, its folder, and the journal of this process."""

from __future__ import annotations

import contextlib
import enum
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from unitrack.errors import RunFinishedError
from unitrack.journal import JournalWriter
from unitrack.records import Record, RunStart
from unitrack.runfolder.run_folder import RunFolder


class JournalState(enum.Enum):
    """The state of this process's journal."""

    OPEN = "open"
    UNOPENED = "unopened"
    """A forked child or a worker has logged nothing yet: its first record opens its journal."""
    ENDED = "ended"


class Recorder:
    """Appends records to the journal of this process, and delivers them at once with inline delivery.

    `lock` is held while a record is written, so that records lie in the order of their numbers. It is reentrant: a
    signal handler may log while a log call of the same thread is under way.
    """

    def __init__(
        self,
        start: RunStart,
        folder: RunFolder,
        journal: JournalWriter | None,
        *,
        rank: int = 0,
        is_owner: bool = True,
        pump: Callable[[], None] | None = None,
    ) -> None:
        """`journal`: None for a worker, whose first record opens one. `pump`: delivers inline, None otherwise."""
        self.start = start
        self.folder = folder
        self.rank = rank
        self.pump = pump
        self.journal = journal
        """The open journal; None before the first record of a child or a worker, and after the end."""
        self.lock = threading.RLock() if journal is None else journal.lock
        self._has_ended = False
        self._owner_pid = os.getpid() if is_owner else None

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the run: it has the run delivered, and ends it."""
        return os.getpid() == self._owner_pid

    @property
    def state(self) -> JournalState:
        """The state of the journal."""
        if self._has_ended:
            return JournalState.ENDED
        return JournalState.UNOPENED if self.journal is None else JournalState.OPEN

    def open(self) -> JournalWriter:
        """Return the journal, opened if necessary. Raises `RunFinishedError` if this part of the run has ended."""
        journal = self.journal
        if journal is not None:
            return journal
        with self.lock:
            self.check_open()
            if self.journal is None:
                self.journal = self._open_own()
            return self.journal

    def _open_own(self) -> JournalWriter:
        with contextlib.suppress(FileNotFoundError), self.folder.spool_lock():  # no lane removes the spool meanwhile
            if self.folder.spool.exists():
                return JournalWriter(self.folder.spool, lock=self.lock)
        raise RunFinishedError(
            f"run {self.start.name!r} has been ended by the process that owns it; log before it does"
        )

    def check_open(self) -> None:
        """Raise `RunFinishedError` if the run, or the part of it that this process logs, has ended."""
        if self._has_ended:
            raise RunFinishedError(
                f"run {self.start.name!r} has finished; start another, or resume it with run_id={self.start.run_id!r}"
            )

    def write(self, kind: type[Record], **fields: Any) -> None:
        """Append a record of this kind with the current time. Raises `JournalError` and `RunFinishedError`."""
        with self.lock:
            self.open().write(kind, **fields)
        self.deliver_inline()

    def copy(self, record: Record) -> None:
        """Append a record that has a time already; it gets the next number. Raises as `write` does."""
        with self.lock:
            self.open().copy(record)
        self.deliver_inline()

    def deliver_inline(self) -> None:
        """Deliver the records with inline delivery, else do nothing. Call it without holding `lock`."""
        if self.pump is not None:
            self.pump()

    def begin_session(self) -> None:
        """Begin a session of training in a new segment, so that no chunk that a reader gets mixes sessions."""
        with self.lock:
            journal = self.open()
            journal.begin_segment()
            journal.copy(msgspec.structs.replace(self.start, time=time.time_ns() // 1_000_000))

    def sync(self) -> None:
        """Sync the journal to the disk."""
        if (journal := self.journal) is not None:
            journal.sync()

    def beat(self) -> None:
        """Renew the sign of life, which processes on other machines check."""
        if (journal := self.journal) is not None:
            journal.beat()

    def end(self) -> None:
        """Close the journal; this part of the run has ended."""
        with self.lock:
            journal, self.journal = self.journal, None
            self._has_ended = True
            if journal is not None:
                journal.close()

    def continue_in_child(self) -> None:
        """Drop the parent's journal in a forked child, whose first record opens its own."""
        self.lock = threading.RLock()  # a thread of the parent may hold the old one for ever
        self.pump = None
        self.journal = None
