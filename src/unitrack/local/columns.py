"""The columnar copy of a `metrics.jsonl`: a file beside it from which one metric is read without the others.

Readers make it when they first read the points of a run that has ended; writing a run never does. It is only a copy:
if it is missing, damaged, or was made from another `metrics.jsonl`, the points are read from `metrics.jsonl` again and
the copy is replaced; where the folder can't be written, none is kept. Deleting it costs only time.

It holds a summary of each metric as well, once one was asked for.

The file: 8 bytes that name the format, 8 with the length of the header, 8 with its checksum, the header (`_Header`, in
MessagePack), then for each metric its steps, values and times, 8 bytes an entry. Each metric has a checksum. It is read
into memory and not mapped, since a mapped file that another program cuts kills the process that reads it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from unitrack.limits import MAX_STATE_BYTES
from unitrack.local.points import read_columns
from unitrack.system.atomic import write_atomically
from unitrack.system.files import open_private, open_regular
from unitrack.values.columns import Columns
from unitrack.values.run_summary import MetricSummary, summary_of_columns

_FORMAT = b"unitrC1<" if sys.byteorder == "little" else b"unitrC1>"
_START = len(_FORMAT) + 16
_WORTH_KEEPING = 128 * 1024
"""Bytes of `metrics.jsonl`: fewer are decoded in 1 ms."""


class PointsSummary(msgspec.Struct, frozen=True):
    """The points of a run in short."""

    metrics: dict[str, MetricSummary]
    """In the order of the first points."""
    last_time: int
    """The time of the last point, in milliseconds since the epoch; 0 without points."""


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the columns of a metric lie."""

    offset: int
    """In bytes, after the header."""
    points: int
    checksum: int


class _Source(msgspec.Struct, frozen=True, array_like=True):
    """What the copy was made from."""

    inode: int
    bytes: int
    modified_ns: int
    start_time: int
    """The time of points that have none, in milliseconds since the epoch."""


class _Header(msgspec.Struct, frozen=True):
    made_from: _Source
    metrics: dict[str, _Place]
    summary: PointsSummary | None = None


_decode_header = msgspec.msgpack.Decoder(_Header).decode


class LocalPoints:
    """The points of one local run by metric, in columns and in short.

    There are none if the file can't be read.
    """

    def __init__(self, metrics: Path, start_time: int, *, ended: bool) -> None:
        """`start_time` stands for the time of points that have none. Only of a run that has `ended` a copy is kept."""
        self._metrics = metrics
        self._copy = _path(metrics)
        self._start_time = start_time
        self._ended = ended

    def columns(self, wanted: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return all points, or those of the metrics that are `wanted`."""
        try:
            with open_regular(self._metrics) as file:
                made_from = self._kept_from(file)
                if made_from is None:
                    return read_columns(file, self._start_time, wanted)
                columns = _load(self._copy, made_from, wanted)
                if columns is None:
                    everything = read_columns(file, self._start_time)
                    _keep(self._copy, made_from, everything)
                    columns = everything if wanted is None else _only(everything, wanted)
                return columns
        except OSError:
            return {}

    def summary(self) -> PointsSummary:
        """Return a summary of each metric, and the time of the last point."""
        try:
            with open_regular(self._metrics) as file:
                made_from = self._kept_from(file)
        except OSError:
            made_from = None
        if made_from is not None:
            with contextlib.suppress(*_UNREADABLE), _open(self._copy, made_from) as (_, header, _):
                if header.summary is not None:
                    return header.summary
        columns = self.columns()
        summary = PointsSummary(
            {name: summary_of_columns(one) for name, one in columns.items()},
            max((max(one.times) for one in columns.values()), default=0),
        )
        if made_from is not None:
            _keep(self._copy, made_from, columns, summary)
        return summary

    def _kept_from(self, file: BinaryIO) -> _Source | None:
        """Return what a copy must have been made from; None if none is kept."""
        facts = os.fstat(file.fileno())
        if not self._ended or facts.st_size < _WORTH_KEEPING:
            return None
        return _Source(facts.st_ino, facts.st_size, facts.st_mtime_ns, self._start_time)


def _only(columns: Mapping[str, Columns], wanted: Collection[str]) -> dict[str, Columns]:
    return {name: columns[name] for name in wanted if name in columns}


def _path(metrics: Path) -> Path:
    """Return where the copy is: in the folder for unitrack's own files, or hidden beside a file of another program."""
    state = metrics.parent / ".unitrack"
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(state).st_mode):  # a link could lead out of the run folder
            return state / "columns.bin"
    return metrics.with_name(f".{metrics.stem}.columns")


_UNREADABLE = (OSError, ValueError, OverflowError, RecursionError)
"""What reading a copy raises that is missing, stale or damaged."""


@contextlib.contextmanager
def _open(copy: Path, made_from: _Source) -> Iterator[tuple[BufferedReader, _Header, int]]:
    """Open the copy: the file, its header, and where the columns begin. Raises `_UNREADABLE`."""
    with open(copy, "rb", opener=open_private) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or file.read(len(_FORMAT)) != _FORMAT:
            raise ValueError("it is no columnar copy")
        length, checksum = (int.from_bytes(file.read(8), "little") for _ in range(2))
        if length > min(facts.st_size, MAX_STATE_BYTES) or zlib.crc32(content := file.read(length)) != checksum:
            raise ValueError("the header is damaged")
        header = _decode_header(content)
        if header.made_from != made_from:
            raise ValueError("the points have changed")
        yield file, header, _START + length


def _load(copy: Path, made_from: _Source, wanted: Collection[str] | None) -> dict[str, Columns] | None:
    """Return the columns that the copy holds, or None if it is missing, stale or damaged."""
    try:
        with _open(copy, made_from) as (file, header, start):
            names = header.metrics if wanted is None else [name for name in wanted if name in header.metrics]
            return {name: _read(file, start, header.metrics[name], made_from.bytes) for name in names}
    except _UNREADABLE:
        return None


def _read(file: BufferedReader, start: int, place: _Place, most: int) -> Columns:
    """Raises `ValueError` if the place holds other bytes than were written; no file of `most` bytes has more points."""
    if not 0 <= place.points <= most or place.offset < 0:
        raise ValueError("the header is damaged")
    content, size = bytearray(24 * place.points), 8 * place.points
    file.seek(start + place.offset)
    if file.readinto(content) != len(content) or zlib.crc32(content) != place.checksum:
        raise ValueError("the columns are damaged")
    whole: Any = memoryview(content)
    return Columns(whole[:size].cast("q"), whole[size : 2 * size].cast("d"), whole[2 * size :].cast("q"))


def _keep(copy: Path, made_from: _Source, columns: Mapping[str, Columns], summary: PointsSummary | None = None) -> None:
    parts: list[bytes] = []
    places: dict[str, _Place] = {}
    offset = 0
    for name, one in columns.items():
        part = b"".join((one.steps.cast("B"), one.values.cast("B"), one.times.cast("B")))
        places[name] = _Place(offset, len(one), zlib.crc32(part))
        parts.append(part)
        offset += len(part)
    header = msgspec.msgpack.encode(_Header(made_from, places, summary))
    if len(header) <= MAX_STATE_BYTES:
        lengths = [number.to_bytes(8, "little") for number in (len(header), zlib.crc32(header))]
        with contextlib.suppress(OSError):  # a folder that can't be written, or a full disk
            write_atomically(copy, b"".join((_FORMAT, *lengths, header, *parts)))
