"""The reader of a journal, also while it grows."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from unitrack.journal.lines import (
    LINE_START_BYTES,
    Damage,
    LineReader,
    decode_line,
    find_line_start,
    lines_in,
    may_become_line,
)
from unitrack.journal.segments import Position, find_writers, segment_path
from unitrack.limits import FOREIGN_BYTES, MAX_LINE_BYTES, MIB, READ_BYTES
from unitrack.records import AnyRecord
from unitrack.system.files import open_private


class Chunk(msgspec.Struct, frozen=True):
    """The result of one read: records in order, and where the next read begins."""

    records: list[AnyRecord]
    ends: list[int]
    """For each record the byte of the segment at which its line ends; see `LineReader.read`."""
    end: Position
    damages: list[Damage]


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
        """Return the next records, at most about `max_bytes` of them; none at the end of what is written.

        `is_over`: the writer writes no more, so what follows the last newline is final.
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
        """Return the number of the record after the one that ends where the reader begins; None if it is unknown."""
        if self._fd < 0 or not self.position.offset:
            return None
        begin = max(0, self.position.offset - MIB)
        before = os.pread(self._fd, self.position.offset - begin, begin)
        record = decode_line(before[:-1].rpartition(b"\n")[2])
        return None if record is None or isinstance(record, str) else record.seq + 1

    def _next_segment(self) -> int | None:
        """Return the segment to go on with after this one, None if there is none yet. Delivered ones may be deleted."""
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
        """Go past bytes that are no line of a journal, to where one may begin, or to the end of the segment.

        At most `FOREIGN_BYTES` are looked at between two records, whatever the size of the file is.
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
        """Return what is left of a segment that is not written to any more: a line without its newline."""
        if not self._open_segment():
            return b""
        left = max(0, os.fstat(self._fd).st_size - self.position.offset)
        return os.pread(self._fd, min(left, MAX_LINE_BYTES), self.position.offset)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._fd_segment = -1


def count_lines(spool: Path, writer: str, segments: list[int], start: Position) -> int:
    """Count the lines of a writer's journal from a position on."""
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
