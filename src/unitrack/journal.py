"""One append-only file of records: its writer and its reader.

A line (see `journal_lines`) is appended by a single `os.write` to an `O_APPEND` descriptor, so it survives the death of
the process once the call has returned. Power loss can cost what came since the last `sync()`. Append is not atomic on
NFS: keep the run folder on a local disk.

A writer owns its files: `<writer>.<segment>.journal`. It starts the next segment when one is full; whoever reads may
delete those that all are past.
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
from typing import Annotated, Any

import msgspec

from unitrack.disk_trouble import remedy
from unitrack.errors import JournalError, RunFinishedError
from unitrack.journal_lines import (
    LINE_START_BYTES,
    TORN,
    Damage,
    LineReader,
    decode_line,
    encode_line,
    find_line_start,
    lines_in,
    may_become_line,
)
from unitrack.limits import FOREIGN_BYTES, MAX_LINE_BYTES, MAX_STEP, MIB, READ_BYTES, SEGMENT_BYTES
from unitrack.records import AnyRecord, Metrics, Record
from unitrack.safe_files import open_private
from unitrack.system.life import SignOfLife

SUFFIX = ".journal"
sync_data = getattr(os, "fdatasync", os.fsync)
"""macOS has only `fsync`. Its `F_FULLFSYNC` empties the drive's cache as well, which takes tens of milliseconds."""
_BIRTH = re.compile("[0-9a-f]{12}")
_START_BYTES = len(b'01234567 {"kind":"run_start"')


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in one writer's journal: bytes into a segment."""

    segment: Annotated[int, msgspec.Meta(ge=0, le=MAX_STEP)] = 0
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_STEP)] = 0


class Chunk(msgspec.Struct, frozen=True):
    """What one read gave: records in order, and where the next read begins."""

    records: list[AnyRecord]
    ends: list[int]
    """For each record the byte of the segment at which its line ends; see `LineReader.read`."""
    end: Position
    damages: list[Damage]


def segment_path(spool: Path, writer: str, segment: int) -> Path:
    """The file of one segment."""
    return spool / f"{writer}.{segment:06d}{SUFFIX}"


def find_writers(spool: Path) -> dict[str, list[int]]:
    """The journals in a spool: each writer's segments, in order of the writers' birth."""
    found: dict[str, list[int]] = {}
    try:
        names = sorted(
            entry.name
            for entry in os.scandir(spool)
            if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)  # no stranger's link, no pipe
        )
    except FileNotFoundError:
        return found
    for name in names:
        writer, _, segment = name.removesuffix(SUFFIX).rpartition(".")
        if writer and segment.isdecimal():
            found.setdefault(writer, []).append(int(segment))
    return found


def is_of_owner(spool: Path, writer: str) -> bool:
    """Whether a journal is of a process that started or resumed the run: it begins with a `RunStart`."""
    try:
        with segment_path(spool, writer, 0).open("rb") as file:
            return file.read(_START_BYTES).endswith(b'{"kind":"run_start"')
    except FileNotFoundError:
        return False


class JournalWriter:
    """The one writer of its journal. Threads may share it; a forked child needs its own.

    It gives each record its number and, unless it has one, its time. `lock` is reentrant, since a signal handler may
    log while a log call of the same thread is under way.
    """

    def __init__(self, spool: Path, segment_bytes: int = SEGMENT_BYTES, writer: str | None = None) -> None:
        self.writer = writer or _new_name(spool)
        self.lock = threading.RLock()
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
        """Append finite floats, as of now: `write` for the hot path, with positional arguments. Hold `lock`."""
        seq = self._next_seq
        self._next_seq = seq + 1
        self._append(Metrics(seq=seq, time=time_ns() // 1_000_000, step=step, metrics=metrics))

    def copy(self, record: Record) -> None:
        """Append a record that has a time: it gets the next number. Raises as `write` does."""
        with self.lock:
            seq = self._next_seq
            self._next_seq = seq + 1
            self._append(msgspec.structs.replace(record, seq=seq))

    def _append(self, record: Record) -> None:
        line = encode_line(record)
        if self._torn:
            line = self._torn + line
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            if self._fd < 0:
                raise RunFinishedError("the run was finished, by a signal handler, during this call") from None
            raise self._failed(record, error.errno or 0, error.strerror or "") from error
        if written != len(line):
            self._end_torn_line(written)
            raise self._failed(record, errno.ENOSPC, "only a part of its line could be written")
        self._torn = b""
        self._size = size = self._size + written
        if size >= self._segment_bytes:
            self.begin_segment()

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
            self._segment -= 1  # out of descriptors, say: go on in the full segment and try again a segment later
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
            sync_data(descriptor)
            self._synced_at = synced
        finally:
            os.close(descriptor)

    def beat(self) -> None:
        """Tell those who look from elsewhere that this process lives."""
        self._sign.beat()

    def close(self) -> None:
        """Close the file. Appending afterwards raises `JournalError`."""
        with self.lock:
            self._sign.close()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _new_name(spool: Path) -> str:
    """A name that comes after those of all journals there are, though the clock was set back since."""
    try:
        births = [writer.partition("-")[0] for writer in find_writers(spool)]
    except OSError as error:
        raise _not_opened(error, spool) from error
    latest = max((int(birth, 16) for birth in births if _BIRTH.fullmatch(birth)), default=-1)
    return f"{max(time.time_ns() // 1_000_000, latest + 1):012x}-{os.getpid()}-{os.urandom(3).hex()}"


def _not_opened(error: OSError, path: Path) -> JournalError:
    why = f"can't open the journal ({error.strerror}); {remedy(error.errno)}"
    return JournalError(error.errno, why, str(path))


def sync_journals(spool: Path) -> None:
    """Have the operating system put on the disk what all writers have appended. May block."""
    for writer, segments in find_writers(spool).items():
        with contextlib.suppress(OSError):
            descriptor = os.open(segment_path(spool, writer, segments[-1]), os.O_RDONLY | os.O_CLOEXEC)
            try:
                sync_data(descriptor)
            finally:
                os.close(descriptor)


class JournalReader:
    """Reads one writer's journal from a position on, while it grows. It takes only complete lines."""

    def __init__(self, spool: Path, writer: str, position: Position | None = None) -> None:
        self.writer = writer
        self.position = position or Position()
        self._spool = spool
        self._fd = -1
        self._fd_segment = -1
        self._lines = LineReader(0) if self.position == Position() else None
        self._passed_over = 0  # bytes since the last record

    def read(self, max_bytes: int = READ_BYTES, *, is_over: bool = False) -> Chunk:
        """The next records, at most about `max_bytes` of them; none at the end of what is written.

        `is_over`: nobody writes any more, so what follows the last newline is all that will ever be of its line.
        """
        data = self._read_lines(max_bytes)
        if not data and (following := self._next_segment()) is not None:
            # The writer left this segment before it made the next, but perhaps after our read: look once more.
            data = self._read_lines(max_bytes) or self._read_tail()
            if not data:
                self._begin_segment(following)
                data = self._read_lines(max_bytes)
        if not data and is_over:
            data = self._read_tail()
        start, name = self.position, segment_path(self._spool, self.writer, self.position.segment).name
        whole = data if data.endswith(b"\n") or not data else data + b"\n"
        records, ends, damages = self._line_reader().read(name, start.offset, whole)
        self.position = Position(start.segment, start.offset + len(data))
        if records:
            self._passed_over = 0
        return Chunk(records, ends, self.position, damages)

    def _line_reader(self) -> LineReader:
        if self._lines is None:
            self._lines = LineReader(self._number_at_start())
        return self._lines

    def _number_at_start(self) -> int | None:
        """The number of the record after the one that ends where the reader begins, if that can be told."""
        if self._fd < 0 or not self.position.offset:
            return None
        begin = max(0, self.position.offset - MIB)
        before = os.pread(self._fd, self.position.offset - begin, begin)
        record = decode_line(before[:-1].rpartition(b"\n")[2])
        return None if record is None or isinstance(record, str) else record.seq + 1

    def _next_segment(self) -> int | None:
        """The segment to go on with after this one, if there is one yet. Delivered ones may be deleted."""
        following = self.position.segment + 1
        if segment_path(self._spool, self.writer, following).exists():
            return following
        later = find_writers(self._spool).get(self.writer, [])
        return min((segment for segment in later if segment >= following), default=None)

    def _begin_segment(self, segment: int) -> None:
        first = self.position.segment + (self._fd >= 0)  # the one that should have been next
        missing = None
        if first < segment:
            name = segment_path(self._spool, self.writer, first).name
            missing = Damage(name, 0, "the file is missing", segment - first)
        self._line_reader().begin_segment(missing)
        self.position = Position(segment)

    def _open_segment(self) -> bool:
        if self._fd_segment != self.position.segment:
            self.close()
            path = segment_path(self._spool, self.writer, self.position.segment)
            try:
                self._fd = open_private(path, os.O_RDONLY)
            except FileNotFoundError:
                return False
            self._fd_segment = self.position.segment
        return True

    def _read_lines(self, max_bytes: int) -> bytes:
        while self._open_segment():
            data = os.pread(self._fd, max_bytes, self.position.offset)
            if len(data) == max_bytes and b"\n" not in data:
                whole = self._read_long_line(data)
                if whole is None:
                    line = data.partition(b"\0")[0]  # it may lack only its newline, as a loss of power leaves it
                    if line and not isinstance(decode_line(line), str):
                        return line
                    self._pass_over(max_bytes)
                    continue
                data = whole
            return data[: data.rfind(b"\n") + 1]
        return b""

    def _read_long_line(self, begun: bytes) -> bytes | None:
        """Return a line longer than `begun` and what was read with it, or nothing while it has no end yet.

        None if no writer of a journal can have written it.
        """
        data = bytearray(begun)
        while len(data) < MAX_LINE_BYTES and may_become_line(data):
            wanted = len(data)
            more = os.pread(self._fd, wanted, self.position.offset + wanted)
            data += more
            if b"\n" in more:
                return bytes(data)
            if len(more) < wanted:
                return b""
        return None

    def _pass_over(self, step: int) -> None:
        """Go past bytes that are no line of ours, to where one may begin, or to the end of the segment.

        The cost of all that lies between two records is bounded by `FOREIGN_BYTES`, whatever the size of the file is.
        """
        start = self.position.offset
        end = os.fstat(self._fd).st_size
        before, at = os.pread(self._fd, 1, start), start + 1
        while at < min(end, start + FOREIGN_BYTES - self._passed_over):
            piece = before + os.pread(self._fd, step, at)
            found = find_line_start(piece)
            if found is not None:
                end = at - len(before) + found
                self._passed_over += end - start
                break
            at += step
            before = piece[-LINE_START_BYTES:]
        name = segment_path(self._spool, self.writer, self.position.segment).name
        reason = f"{end - start} bytes are no record: the file is damaged, or it is not a journal"
        self._line_reader().pass_over(name, start, reason)
        self.position = Position(self.position.segment, end)

    def _read_tail(self) -> bytes:
        """What is left of a segment that nobody writes to any more: a line without its newline."""
        if not self._open_segment():
            return b""
        left = max(0, os.fstat(self._fd).st_size - self.position.offset)
        return os.pread(self._fd, min(left, MAX_LINE_BYTES), self.position.offset)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._fd_segment = -1


def count_lines(spool: Path, writer: str, segments: list[int], start: Position) -> int:
    """How many lines a writer's journal holds from a position on."""
    total = 0
    for segment in segments:
        if segment < start.segment:
            continue
        try:
            with segment_path(spool, writer, segment).open("rb") as file:
                file.seek(start.offset if segment == start.segment else 0)
                total += lines_in(file)
        except FileNotFoundError:
            continue
    return total
