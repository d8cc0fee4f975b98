"""The lines of a journal: encoding, decoding, and what can be saved from damaged ones.

A line is the CRC-32 of its body as eight hex digits, a space, one JSON object, a newline. A damaged one is skipped,
counted and named; the lines around it are not touched. Where only the newline between two was hit, both are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO
from zlib import crc32

import msgspec

from unitrack.limits import MAX_LINE_BYTES, READ_BYTES
from unitrack.records import AnyRecord, Record

TORN = b"!!\n"
"""Ends a line of which only a part could be written. Its log call has raised, so it does not count as lost."""
_BODY = b' {"kind":"'
"""Begins each body, and can't be within one: a body has spaces only in strings, and these no bare quotation mark."""
_LINE_START = re.compile(rb'[0-9a-f]{8} \{"kind":"')
LINE_START_BYTES = 18
"""The length of a checksum and `_BODY`: how each line of a journal begins."""
_NEXT_LINE = re.compile(rb'\n|[0-9a-f]{8} \{"kind":"')
_EMPTY_LINES = re.compile(rb"(?<=\n)\n")
_MOST_MISSING = 2**40  # a gap beyond that is no gap but nonsense

encode_record: Callable[[Record], bytes] = msgspec.json.Encoder().encode
decode_record: Callable[[bytes], AnyRecord] = msgspec.json.Decoder(AnyRecord).decode


class Damage(msgspec.Struct, frozen=True):
    """A place in a journal where records are lost, and why."""

    file: str
    offset: int
    reason: str
    lines: int = 1
    """How many records, as far as their numbers tell."""

    def __str__(self) -> str:
        return f"{self.file}, byte {self.offset}: {self.reason}"


def encode_line(record: Record) -> bytes:
    """Return the line of a record, with its newline."""
    body = encode_record(record)
    return b"%08x %b\n" % (crc32(body), body)


def decode_line(line: bytes) -> AnyRecord | str | None:
    """Return the record of a line without its newline; the reason if it is damaged; None if it is empty."""
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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"not a known record: {error}"


def salvage(line: bytes) -> Iterator[tuple[int, AnyRecord | None]]:
    """Yield what is left in a damaged line: places in it, and the record there, or None if it is lost.

    The line is cut where others may begin in it, and each piece is looked at with and without its last byte, which may
    have been a newline, and the zeros that a power loss leaves. So the cost is proportional to the line's length,
    whatever is in it.
    """
    start = 0
    while start < len(line):
        found = line.find(_BODY, start + 9)  # the next body, and its checksum before it
        end = found - 8 if found >= 0 else len(line)
        piece = line[start:end]
        for candidate in dict.fromkeys((piece[:-1], piece, piece.rstrip(b"\0"))):
            record = decode_line(candidate)
            if record is not None and not isinstance(record, str):
                yield start, record
                start += len(candidate) + 1
                break
        if start < end:
            yield start, None
        start = end


def may_become_line(data: bytes | bytearray) -> bool:
    """Return whether bytes without a newline may be the beginning of one line of a journal.

    JSON escapes the byte 0, and `_BODY` can't be within a body.
    """
    return _LINE_START.match(data) is not None and b"\0" not in data and data.find(_BODY, LINE_START_BYTES) < 0


def find_line_start(data: bytes) -> int | None:
    """Return the first place after byte 0 where a line may begin: after a newline, or at a checksum and `_BODY`."""
    found = _NEXT_LINE.search(data, 1)
    if found is None:
        return None
    return found.end() if found.group() == b"\n" else found.start()


class LineReader:
    """Turns the bytes of one journal into records, in order, and accounts for what is lost between them.

    A journal's numbers have no gaps, so the record after a damage tells how many were lost in it. `next_seq`: the
    number of the first record; None if that is not known.
    """

    def __init__(self, next_seq: int | None) -> None:
        self._next_seq = next_seq
        self._in_doubt = False  # whether something may be missing before the next record
        self._reported = 0  # lines reported since the last record
        self._damage: Damage | None = None  # since the last record, and not reported yet

    def begin_segment(self, missing: Damage | None) -> None:
        """Begin a segment: the one before may have lost its end. `missing`: the damage of segments that are gone."""
        self._in_doubt = True
        self._damage = missing

    def pass_over(self, file: str, offset: int, reason: str) -> None:
        """Note that what begins at a byte of a file is no line; the reader goes on after it."""
        self._note(file, offset, reason, is_told=False)

    def read(self, file: str, offset: int, data: bytes) -> tuple[list[AnyRecord], list[int], list[Damage]]:
        """Return the records in lines that begin at a byte of a file, where each line ends, and the damages.

        A reader may begin anew at each end. Of several records that are saved from one damaged line only the last has
        one; the others have -1.
        """
        records: list[AnyRecord] = []
        ends: list[int] = []
        damages: list[Damage] = []
        for line in data.split(b"\n")[:-1]:
            end = offset + len(line) + 1
            record = decode_line(line)
            if isinstance(record, str):
                for place, saved in salvage(line):
                    if saved is None:
                        self._note(file, offset + place, record, is_told=line.endswith(TORN[:-1]))
                    else:
                        damages += self._settle(file, offset + place, saved)
                        records.append(saved)
                        ends.append(-1)
                if ends and ends[-1] < 0:
                    ends[-1] = end
            elif record is not None:
                if self._in_doubt:
                    damages += self._settle(file, offset, record)
                else:
                    self._next_seq = record.seq + 1
                records.append(record)
                ends.append(end)
            offset = end
        if self._damage is not None:
            damages.append(self._damage)
            self._reported += self._damage.lines
            self._damage = None
        return records, ends, damages

    def _note(self, file: str, offset: int, reason: str, *, is_told: bool) -> None:
        """Note a damaged piece of a line: the beginning of a damage, or more of it."""
        self._in_doubt = True
        if is_told:
            return  # should it be another line that looks like one, the gap will tell
        if self._damage is None:
            self._damage = Damage(file, offset, reason)
        else:
            self._damage = msgspec.structs.replace(self._damage, lines=self._damage.lines + 1)

    def _settle(self, file: str, offset: int, record: AnyRecord) -> list[Damage]:
        """Return the damage before a record that is whole, with the number of records lost in it."""
        damage, expected, reported = self._damage, self._next_seq, self._reported
        self._damage, self._next_seq, self._reported, self._in_doubt = None, record.seq + 1, 0, False
        missing = 0 if expected is None else record.seq - expected - reported
        if not 0 < missing < _MOST_MISSING:
            missing = 0
        if damage is not None:
            return [damage if expected is None else msgspec.structs.replace(damage, lines=max(1, missing))]
        if missing:
            return [Damage(file, offset, f"{missing} before this one are missing", missing)]
        return []


def lines_in(file: BinaryIO) -> int:
    """Count the lines of a file that are whole and not empty; a gigabyte takes a second.

    Looking for the end of one line stops after `MAX_LINE_BYTES`: what comes then is no journal, and no reader reads on.
    """
    lines, before, without_end = 0, b"\n", 0
    while (data := file.read(READ_BYTES)) and without_end < MAX_LINE_BYTES:
        found = data.count(b"\n")
        without_end = 0 if found else without_end + len(data)
        lines += found
        if b"\n\n" in before + data:
            lines -= len(_EMPTY_LINES.findall(before + data))
        before = data[-1:]
    return lines
