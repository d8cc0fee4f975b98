"""The writer of a journal: an append-only file of records.

A line (see `lines`) is appended by a single `os.write` to an `O_APPEND` descriptor, so it survives the death of the
process once the call has returned. Power loss can cost what came since the last `sync()`. Append is not atomic on NFS:
keep the run folder on a local disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from pathlib import Path
from time import time_ns
from typing import Any, Never
from zlib import crc32

import msgspec

from unitrack.errors import JournalError, RunFinishedError
from unitrack.journal import segments
from unitrack.journal.lines import TORN, encode_line, encode_record
from unitrack.journal.segments import Position, find_writers, segment_path
from unitrack.limits import SEGMENT_BYTES
from unitrack.records import Metrics, Record
from unitrack.system.disk import remedy
from unitrack.system.files import open_private
from unitrack.system.life import SignOfLife

_BIRTH = re.compile("[0-9a-f]{12}")


class JournalWriter:
    """The one writer of its journal. Threads may share it; a forked child needs its own.

    It gives each record its number and, unless it has one, its time. `lock` is reentrant, since a signal handler may
    log while a log call of the same thread is under way.
    """

    def __init__(
        self,
        spool: Path,
        segment_bytes: int = SEGMENT_BYTES,
        writer: str | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        self.writer = writer or _new_name(spool)
        self.lock = lock or threading.RLock()
        self._next_seq = 0
        self._spool = spool
        self._segment_bytes = segment_bytes
        self._segment = 0
        self._size = 0
        self._torn = b""  # what is still to be written to end a torn line
        self._synced_at = 0
        self._sign = SignOfLife(spool, self.writer)
        try:
            self._fd = self._open()
        except BaseException:
            self._sign.close()
            raise

    def _open(self) -> int:
        path = segment_path(self._spool, self.writer, self._segment)
        try:
            return open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            raise _not_opened(error, path) from error

    @property
    def next_seq(self) -> int:
        """The number that the next record will get."""
        return self._next_seq

    def write(self, kind: type[Record], **fields: Any) -> None:
        """Append a record of this kind, as of now; it is safe from the death of the process when this returns.

        Raises `JournalError` if it could not be written whole; earlier and later lines stay intact.
        """
        with self.lock:  # so that records lie in the order of their numbers
            seq = self._next_seq
            self._next_seq = seq + 1
            self._append(kind(seq=seq, time=time_ns() // 1_000_000, **fields))

    def write_metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Append finite floats, as of now: `write` for the hot path. Hold `lock`.

        It repeats `_append` and `encode_line` in one function: between two steps of training the processor's caches are
        full of other things, and each function more costs a microsecond of 26 (measured).
        """
        seq = self._next_seq
        self._next_seq = seq + 1
        record = Metrics(seq=seq, time=time_ns() // 1_000_000, step=step, metrics=metrics)
        if self._torn:
            self._append(record)
            return
        body = encode_record(record)
        line = b"%08x %b\n" % (crc32(body), body)
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._raise_unwritten(record, error)
        if written != len(line):
            self._raise_torn(record, written)
        self._size = size = self._size + written
        if size >= self._segment_bytes:
            self.begin_segment()

    def copy(self, record: Record) -> None:
        """Append a record that has a time: it gets the next number. Raises as `write` does."""
        with self.lock:
            seq = self._next_seq
            self._next_seq = seq + 1
            self._append(msgspec.structs.replace(record, seq=seq))

    def _append(self, record: Record) -> None:
        line = self._torn + encode_line(record)
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._raise_unwritten(record, error)
        if written != len(line):
            self._raise_torn(record, written)
        self._torn = b""
        self._size = size = self._size + written
        if size >= self._segment_bytes:
            self.begin_segment()

    def _raise_unwritten(self, record: Record, error: OSError) -> Never:
        """Raise: the system took nothing of a line."""
        if self._fd < 0:
            raise RunFinishedError("the run was finished, by a signal handler, during this call") from None
        raise self._failed(record, error.errno or 0, error.strerror or "") from error

    def _raise_torn(self, record: Record, written: int) -> Never:
        """Raise: the system took a part of a line."""
        self._end_torn_line(written)
        raise self._failed(record, errno.ENOSPC, "only a part of its line could be written")

    def _failed(self, record: Record, code: int, why: str) -> JournalError:
        if self._next_seq == record.seq + 1:
            self._next_seq = record.seq  # the next record takes its number, so a gap always means a lost line
        path = segment_path(self._spool, self.writer, self._segment)
        return JournalError(
            code, f"this log call was not recorded ({why}); what was logged before is safe; {remedy(code)}", str(path)
        )

    def _end_torn_line(self, written: int) -> None:
        """Mark what was written of a line, so that it is never taken for whole; what does not fit is written later."""
        begun = written - len(self._torn)
        self._torn = TORN if begun > 0 else self._torn[written:]
        with contextlib.suppress(OSError):
            self._torn = self._torn and self._torn[os.write(self._fd, self._torn) :]

    def begin_segment(self) -> None:
        """Go on in a new file. Hold `lock`."""
        full = self._fd
        self._size = 0
        self._segment += 1
        try:
            self._fd = self._open()
        except JournalError:
            self._segment -= 1  # no free descriptor, for example: go on in the full one, try again a segment later
        else:
            os.close(full)

    @property
    def position(self) -> Position:
        """Where the next line will begin."""
        return Position(self._segment, self._size)

    def sync(self) -> None:
        """Have the operating system put what was appended on the disk. May block; never call it in a log call."""
        with self.lock:
            if self._next_seq == self._synced_at:
                return
            descriptor, synced = os.dup(self._fd), self._next_seq
        try:
            segments.sync_data(descriptor)
            self._synced_at = synced
        finally:
            os.close(descriptor)

    def beat(self) -> None:
        """Leave a sign that this process lives, for processes that can't see its pid."""
        self._sign.beat()

    def close(self) -> None:
        """Close the file. Appending afterwards raises `JournalError`."""
        with self.lock:
            self._sign.close()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _new_name(spool: Path) -> str:
    """Return a name that sorts after those of all journals in the spool, though the clock was set back since."""
    try:
        births = [writer.partition("-")[0] for writer in find_writers(spool)]
    except OSError as error:
        raise _not_opened(error, spool) from error
    latest = max((int(birth, 16) for birth in births if _BIRTH.fullmatch(birth)), default=-1)
    return f"{max(time.time_ns() // 1_000_000, latest + 1):012x}-{os.getpid()}-{os.urandom(3).hex()}"


def _not_opened(error: OSError, path: Path) -> JournalError:
    why = f"can't open the journal ({error.strerror}); {remedy(error.errno)}"
    return JournalError(error.errno, why, str(path))
