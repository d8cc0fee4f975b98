"""One append-only file of records: its writer and its reader.

A line is the CRC-32 of its body as eight hex digits, a space, one JSON object, a newline. It is appended by a single
`os.write` to an `O_APPEND` descriptor, so it survives the death of the process once the call has returned. Power loss
can cost what came since the last `sync()`. Append is not atomic on NFS: keep the run folder on a local disk.

A writer owns its files: `<writer>.<segment>.journal`. It starts the next segment when one is full; whoever reads may
delete those that all are past.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec

from unitrack.errors import JournalError
from unitrack.limits import READ_BYTES, SEGMENT_BYTES
from unitrack.records import AnyRecord, Record

SUFFIX = ".journal"
_BIRTH = re.compile("[0-9a-f]{12}")
_EMPTY_LINES = re.compile(rb"(?<=\n)\n")

encode_record: Callable[[Record], bytes] = msgspec.json.Encoder().encode
decode_record: Callable[[bytes], AnyRecord] = msgspec.json.Decoder(AnyRecord).decode


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in one writer's journal: bytes into a segment."""

    segment: int = 0
    offset: int = 0


class Damage(msgspec.Struct, frozen=True):
    """A line that can't be read, and why. It is skipped; the lines around it are not touched."""

    file: str
    offset: int
    reason: str


class Chunk(msgspec.Struct, frozen=True):
    """What one read gave: records in order, and where the next read begins."""

    records: list[AnyRecord]
    end: Position
    damages: list[Damage]


def segment_path(spool: Path, writer: str, segment: int) -> Path:
    """The file of one segment."""
    return spool / f"{writer}.{segment:06d}{SUFFIX}"


def find_writers(spool: Path) -> dict[str, list[int]]:
    """The journals in a spool: each writer's segments, in order of the writers' birth."""
    found: dict[str, list[int]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(spool) if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return found
    for name in names:
        writer, _, segment = name.removesuffix(SUFFIX).rpartition(".")
        if writer and segment.isdecimal():
            found.setdefault(writer, []).append(int(segment))
    return found


class JournalWriter:
    """The one writer of its journal. Threads may share it; a forked child needs its own.

    `lock` is reentrant, since a signal handler may log while a log call of the same thread is under way.
    """

    def __init__(self, spool: Path, segment_bytes: int = SEGMENT_BYTES, writer: str | None = None) -> None:
        self.writer = writer or _new_name(spool)
        self.lock = threading.RLock()
        self.next_seq = 0
        self._spool = spool
        self._segment_bytes = segment_bytes
        self._segment = 0
        self._size = 0
        self._torn = False
        self._synced_at = 0
        self._fd = self._open()

    def _open(self) -> int:
        path = segment_path(self._spool, self.writer, self._segment)
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise JournalError(
                error.errno, f"can't open the journal ({error.strerror}); is the run folder writable?", str(path)
            ) from error

    def append(self, record: Record) -> None:
        """Append one record; it is safe from the death of the process when this returns.

        Raises `JournalError` if it could not be written whole; earlier and later lines stay intact. Hold `lock`.
        """
        body = encode_record(record)
        line = b"%08x %b\n" % (crc32(body), body)
        if self._torn:
            line, self._torn = b"\n" + line, False
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._torn = line.startswith(b"\n")  # nothing was written, not even that
            raise self._failed(error.errno or 0, error.strerror or "") from error
        if written != len(line):
            self._end_torn_line()
            raise self._failed(28, "the disk is full: a part of the line was written, and is marked as damaged")
        self._size = size = self._size + written
        if size >= self._segment_bytes:
            self._rotate()

    def _failed(self, errno: int, why: str) -> JournalError:
        path = segment_path(self._spool, self.writer, self._segment)
        return JournalError(
            errno,
            f"this log call was not recorded ({why}); what was logged before is safe, go on once mended",
            str(path),
        )

    def _end_torn_line(self) -> None:
        self._torn = True
        with contextlib.suppress(OSError):  # else the next line begins with the newline
            self._torn = os.write(self._fd, b"\n") != 1

    def _rotate(self) -> None:
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
            if self.next_seq == self._synced_at:
                return
            descriptor, synced = os.dup(self._fd), self.next_seq
        try:
            os.fdatasync(descriptor)
            self._synced_at = synced
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the file. Appending afterwards raises `JournalError`."""
        with self.lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _new_name(spool: Path) -> str:
    """A name that comes after those of all journals there are, though the clock was set back since."""
    births = [writer.partition("-")[0] for writer in find_writers(spool)]
    latest = max((int(birth, 16) for birth in births if _BIRTH.fullmatch(birth)), default=-1)
    return f"{max(time.time_ns() // 1_000_000, latest + 1):012x}-{os.getpid()}-{os.urandom(3).hex()}"


def sync_journals(spool: Path) -> None:
    """Have the operating system put on the disk what all writers have appended. May block."""
    for writer, segments in find_writers(spool).items():
        with contextlib.suppress(OSError):
            descriptor = os.open(segment_path(spool, writer, segments[-1]), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
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

    def read(self, max_bytes: int = READ_BYTES) -> Chunk:
        """The next records, at most about `max_bytes` of them; none at the end of what is written."""
        data = self._read_lines(max_bytes)
        if not data and (following := self._next_segment()) is not None:
            # The writer left this segment before it made the next, but perhaps after our read: look once more.
            data = self._read_lines(max_bytes)
            if not data:
                self.position = Position(following)
                data = self._read_lines(max_bytes)
        records: list[AnyRecord] = []
        damages: list[Damage] = []
        offset = self.position.offset
        for line in data.split(b"\n")[:-1]:
            record = decode_line(line)
            if isinstance(record, str):
                name = segment_path(self._spool, self.writer, self.position.segment).name
                damages.append(Damage(name, offset, record))
            elif record is not None:
                records.append(record)
            offset += len(line) + 1
        self.position = Position(self.position.segment, offset)
        return Chunk(records, self.position, damages)

    def _next_segment(self) -> int | None:
        """The segment to go on with after this one, if there is one yet. Delivered ones may be deleted."""
        following = self.position.segment + 1
        if segment_path(self._spool, self.writer, following).exists():
            return following
        if self._fd >= 0:
            return None  # the one that is being written
        later = find_writers(self._spool).get(self.writer, [])
        return min((segment for segment in later if segment > following), default=None)

    def _read_lines(self, max_bytes: int) -> bytes:
        if self._fd_segment != self.position.segment:
            self.close()
            try:
                self._fd = os.open(
                    segment_path(self._spool, self.writer, self.position.segment), os.O_RDONLY | os.O_CLOEXEC
                )
            except FileNotFoundError:
                return b""
            self._fd_segment = self.position.segment
        data = os.pread(self._fd, max_bytes, self.position.offset)
        while len(data) == max_bytes and b"\n" not in data:  # one line is longer than that
            max_bytes *= 2
            data = os.pread(self._fd, max_bytes, self.position.offset)
        return data[: data.rfind(b"\n") + 1]

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._fd_segment = -1


def decode_line(line: bytes) -> AnyRecord | str | None:
    """The record of a line (without its newline); a reason if it is damaged; None if it is empty (short write)."""
    if not line:
        return None
    body = line[9:]
    try:
        if line[8:9] != b" " or int(line[:8], 16) != crc32(body):
            return "the checksum does not match"
    except ValueError:
        return "the checksum is not a number"
    try:
        return decode_record(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        return f"not a known record: {error}"


def count_lines(spool: Path, writer: str, segments: list[int], start: Position) -> int:
    """How many lines a writer's journal holds from a position on."""
    total = 0
    for segment in segments:
        if segment < start.segment:
            continue
        try:
            with segment_path(spool, writer, segment).open("rb") as file:
                file.seek(start.offset if segment == start.segment else 0)
                total += _lines_in(file)
        except FileNotFoundError:
            continue
    return total


def _lines_in(file: BinaryIO) -> int:
    """How many of a file's lines are whole and not empty; a gigabyte takes a second."""
    lines, before = 0, b"\n"
    while data := file.read(READ_BYTES):
        lines += data.count(b"\n")
        if b"\n\n" in before + data:
            lines -= len(_EMPTY_LINES.findall(before + data))
        before = data[-1:]
    return lines
