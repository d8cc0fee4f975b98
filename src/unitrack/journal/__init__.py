"""The journal: append-only files of records, one for each process that logs to a run."""

from __future__ import annotations

from unitrack.journal.reader import Chunk, JournalReader, count_lines
from unitrack.journal.segments import Position, find_writers, is_of_owner, segment_path, sync_journals
from unitrack.journal.writer import JournalWriter

__all__ = [
    "Chunk",
    "JournalReader",
    "JournalWriter",
    "Position",
    "count_lines",
    "find_writers",
    "is_of_owner",
    "segment_path",
    "sync_journals",
]
