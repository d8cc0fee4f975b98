"""What was logged last of a metric, found by reading journals from their ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.journal.lines import decode_line
from unitrack.journal.segments import find_writers, segment_path
from unitrack.limits import MIB
from unitrack.records import Metrics
from unitrack.system.files import open_private

_FARTHEST = 16 * MIB
"""How far back it is searched: 150,000 points. A metric that was last logged before is no measure of what is saved now.
"""


def last_value(spool: Path, writer: str, metric: str) -> float | None:
    """Return the value of a metric that this writer has logged last; None if it is not in the last 16 MiB."""
    name = msgspec.json.encode(metric)
    for line in _lines_backwards(spool, writer):
        if name in line and isinstance(record := decode_line(line), Metrics) and metric in (found := record.values()):
            return found[metric]
    return None


def newest_points(spool: Path, most_bytes: int) -> dict[str, list[tuple[int, float]]]:
    """Return the steps and values in the last `most_bytes` of each journal, by metric, in the order of logging.

    The metric that was logged last comes first. Empty if there is no spool any more.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    try:
        for writer in find_writers(spool):
            for line in _lines_backwards(spool, writer, most_bytes):
                record = decode_line(line) if line else None
                if isinstance(record, Metrics):
                    for name, value in record.values().items():
                        found.setdefault(name, []).append((record.step, value))
    except FileNotFoundError:  # the run has ended meanwhile, and all is delivered
        return {}
    return {name: points[::-1] for name, points in found.items()}


def _lines_backwards(spool: Path, writer: str, left: int = _FARTHEST) -> Iterator[bytes]:
    for segment in reversed(find_writers(spool).get(writer, [])):
        descriptor = open_private(segment_path(spool, writer, segment), os.O_RDONLY)
        try:
            end, rest = os.fstat(descriptor).st_size, b""
            while end > 0 and left > 0:
                size = min(end, MIB, left)
                block = os.pread(descriptor, size, end - size) + rest
                end, left = end - size, left - size
                rest, *lines = block.split(b"\n")
                yield from reversed(lines)
            if end == 0:
                yield rest
        finally:
            os.close(descriptor)
        if left <= 0:
            return
