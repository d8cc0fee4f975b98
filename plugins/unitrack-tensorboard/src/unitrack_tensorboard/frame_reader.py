"""Reading event files: whole frames in stretches of a few MiB, with their checksums verified.

A damaged frame is skipped. Reading goes on behind it where the next header says that its length is right, else where a
header is found again. TensorBoard's own readers stop at the first damaged frame.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import google_crc32c
import numpy as np

from unitrack_tensorboard.tfrecord import CRC, HEADER, LENGTH, MASK_DELTA, masked_crc

STRETCH_BYTES = 4 * 1024 * 1024
"""Of a file in memory at once, unless one frame is larger."""

_FIRST_LOOK = 1024
"""Bytes in which a header is looked for at first."""

_FRAME_BYTES = HEADER.size + CRC.size
"""Of a frame, beside the payload."""

Array: TypeAlias = Any
"""A NumPy array. Its type is not checked: mypy follows only half of NumPy's stubs, as it may not be installed."""

_log = logging.getLogger(__name__)


class Frames(NamedTuple):
    """Whole frames of one stretch of a file; payload i is `data[starts[i] : ends[i]]`."""

    data: bytes
    offset: int
    """Where `data` begins in the file."""
    starts: Array
    ends: Array

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        return self.data[self.starts[index] : self.ends[index]]

    def position(self, index: int) -> int:
        """Return where a frame begins in the file, for `payload_at`."""
        return self.offset + int(self.starts[index]) - HEADER.size


def stretches(path: Path) -> Iterator[Frames]:
    """Yield the whole frames of a file, as long as it is now, in order; none of what is no file, such as a pipe. Log
    how much is damaged. Raises `OSError`.
    """
    if not _is_file(path):
        return
    with path.open("rb", buffering=0) as file:
        reader = _Reader(file)
        yield from reader.stretches()
        if reader.damaged:
            _log.warning("%s: %d bytes are damaged, and were skipped", path, reader.damaged)


def payloads(path: Path) -> Iterator[bytes]:
    """Yield the payloads of a file. Raises `OSError`."""
    for frames in stretches(path):
        for index in range(len(frames.starts)):
            yield frames.payload(index)


def payload_at(path: Path, position: int) -> bytes | None:
    """Return the payload of the frame that begins at a position; None if there is no whole one. Raises `OSError`."""
    if not _is_file(path):
        return None
    with path.open("rb") as file:
        file.seek(position)
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, crc = HEADER.unpack(header)
        if crc != masked_crc(header[: LENGTH.size]) or length > os.fstat(file.fileno()).st_size:
            return None
        payload, tail = file.read(length), file.read(CRC.size)
        return payload if len(tail) == CRC.size and CRC.unpack(tail)[0] == masked_crc(payload) else None


def _is_file(path: Path) -> bool:
    """Return whether a path is a regular file: opening a pipe would wait for its writer. Raises `FileNotFoundError`."""
    return stat.S_ISREG(path.stat().st_mode)


class _Reader:
    def __init__(self, file: BinaryIO | Any) -> None:
        self.damaged = 0
        """Bytes that belong to no whole frame, but for a frame that is cut off at the end: it may still be written."""
        self._file = file
        self._room = os.fstat(file.fileno()).st_size
        """Bytes of the file from the beginning of `_data` on."""
        self._offset = 0
        self._data = b""
        self._at = 0
        """How far `_data` was looked at."""
        self._headers: dict[int, int] = {}
        """The checksum of each length that was met."""

    def stretches(self) -> Iterator[Frames]:
        goes_on = self._read()
        while goes_on:
            starts, ends, missing, damage = self._walk()
            stop = ends[-1] + CRC.size if ends else self._at
            sound = _are_sound(self._data, starts, ends)
            if starts and not sound[-1] and self._is_length_in_doubt(stop, damage):
                stop = starts[-1] - HEADER.size
                damage = "length" if damage or self._is_all_read else ""
                del starts[-1], ends[-1]
                sound = sound[:-1]
            frames = Frames(self._data, self._offset, np.array(starts, np.int64), np.array(ends, np.int64))
            if not sound.all():
                self.damaged += int((frames.ends - frames.starts + _FRAME_BYTES)[~sound].sum())
                frames = frames._replace(starts=frames.starts[sound], ends=frames.ends[sound])
            if len(frames.starts):
                yield frames
            self._at = stop
            goes_on = self._resync(damage) if damage else self._read(missing)

    def _walk(self) -> tuple[list[int], list[int], int, str]:
        """Return the payloads of the frames in `_data`, then how many bytes more the next frame needs, or what is wrong
        with it: its "header", or its "length", beyond the end of the file.
        """
        data, size = self._data, len(self._data)
        unpack, known = HEADER.unpack_from, self._headers
        starts: list[int] = []
        ends: list[int] = []
        stop = self._at
        while size - stop >= HEADER.size:
            length, crc = unpack(data, stop)
            if known.get(length) != crc and not self._is_header(length, crc):
                return starts, ends, 0, "header"
            end = stop + _FRAME_BYTES + length
            if end > size:
                return starts, ends, end - size, "length" if end > self._room else ""
            starts.append(stop + HEADER.size)
            ends.append(end - CRC.size)
            stop = end
        return starts, ends, 0, ""

    def _is_header(self, length: int, crc: int) -> bool:
        expected = self._headers[length] = masked_crc(LENGTH.pack(length))
        return expected == crc

    def _is_length_in_doubt(self, stop: int, damage: str) -> bool:
        """Return whether no header follows the last frame, whose payload is damaged: perhaps its writer died, and
        others went on within what it should have been.
        """
        return damage == "header" or (not damage and len(self._data) - stop < HEADER.size and self._room > stop)

    @property
    def _is_all_read(self) -> bool:
        return len(self._data) == self._room

    def _read(self, missing: int = 0) -> bool:
        """Read on, and forget what was looked at; return False at the end of the file."""
        wanted = min(max(STRETCH_BYTES, missing), self._room - len(self._data))
        read = []
        while wanted > 0 and (piece := self._file.read(wanted)):
            read.append(piece)
            wanted -= len(piece)
        self._data = b"".join((self._data[self._at :], *read))
        self._offset += self._at
        self._room -= self._at
        self._at = 0
        return bool(read)

    def _resync(self, damage: str) -> bool:
        """Go on to the next header; return False if there is none."""
        begin, end = self._offset + self._at, self._offset + self._room
        self._at += HEADER.size if damage == "length" else 1
        while (found := _find_header(self._data, self._at, self._room)) is None:
            self._at = max(self._at, len(self._data) - HEADER.size + 1)
            if not self._read():
                self.damaged += end - begin if damage == "header" else 0
                return False
        self._at = found
        self.damaged += self._offset + self._at - begin
        return True


def _are_sound(data: bytes, starts: list[int], ends: list[int]) -> Array:
    """Return whether the checksum of each payload is right."""
    if not starts:
        return np.zeros(0, bool)
    crcs = np.fromiter(
        map(google_crc32c.value, map(data.__getitem__, map(slice, starts, ends))), np.uint32, len(starts)
    )
    return _masked(crcs) == _everywhere(data, "<u4", CRC.size)[ends]


def _find_header(data: bytes, begin: int, room: int) -> int | None:
    """Return the first place from `begin` on of a header of a frame that ends before `room`; None if there is none.

    An empty frame is not looked for: a stretch of zeros would have one candidate a byte. It looks at a little first, so
    that a file in which each frame is damaged takes no longer than one without any.
    """
    size = _FIRST_LOOK
    while len(data) - begin >= HEADER.size:
        piece = data[begin : begin + size]
        low, high, crc = (_everywhere(piece, "<u4", HEADER.size, at) for at in (0, 4, 8))
        places = np.flatnonzero((low > 0) & (high == 0))
        lengths = low[places].astype(np.int64)
        fits = begin + places + lengths <= room - _FRAME_BYTES
        places, lengths = places[fits], lengths[fits]
        found = places[_masked(_crc_of_lengths(lengths)) == crc[places]]
        if len(found):
            return begin + int(found[0])
        begin += len(piece) - HEADER.size + 1
        size *= 2
    return None


def _everywhere(data: bytes, dtype: str, room: int, at: int = 0) -> Array:
    """Return a view of the numbers at each place of `data`, aligned or not, `at` bytes behind it and up to `room`."""
    return np.ndarray((len(data) - room + 1,), dtype, data, at, (1,))


def _masked(crcs: Array) -> Array:
    return (crcs >> 15 | crcs << 17) + np.uint32(MASK_DELTA)


def _crc_of_lengths(lengths: Array) -> Array:
    """Return the checksums of lengths below 2**32: each byte changes the checksum of zero independently."""
    zero, tables = _length_tables()
    crcs: Array = np.full(len(lengths), zero, np.uint32)
    for place, table in enumerate(tables):
        crcs ^= table[lengths >> 8 * place & 0xFF]
    return crcs


@functools.cache
def _length_tables() -> tuple[int, list[Array]]:
    zero = google_crc32c.value(bytes(LENGTH.size))
    return zero, [
        np.array([google_crc32c.value(LENGTH.pack(byte << 8 * place)) ^ zero for byte in range(256)], np.uint32)
        for place in range(4)
    ]
