"""The files of a journal, and positions in them.

A writer owns its files: `<writer>.<segment>.journal`. It starts the next segment when one is full; a reader may delete
those that all readers are past.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import msgspec

from unitrack.limits import MAX_STEP

SUFFIX = ".journal"
sync_data = getattr(os, "fdatasync", os.fsync)
"""macOS has only `fsync`. Its `F_FULLFSYNC` empties the drive's cache as well, which takes tens of milliseconds."""
_START_BYTES = len(b'01234567 {"kind":"run_start"')


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in one writer's journal: bytes into a segment."""

    segment: Annotated[int, msgspec.Meta(ge=0, le=MAX_STEP)] = 0
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_STEP)] = 0


def segment_path(spool: Path, writer: str, segment: int) -> Path:
    """Return the file of one segment."""
    return spool / f"{writer}.{segment:06d}{SUFFIX}"


def find_writers(spool: Path) -> dict[str, list[int]]:
    """Return each writer's segments in a spool, the writer that began first before the others."""
    found: dict[str, list[int]] = {}
    try:
        names = sorted(
            entry.name
            for entry in os.scandir(spool)
            if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)  # no symbolic link, no pipe
        )
    except FileNotFoundError:
        return found
    for name in names:
        writer, _, segment = name.removesuffix(SUFFIX).rpartition(".")
        if writer and segment.isdecimal():
            found.setdefault(writer, []).append(int(segment))
    return found


def is_of_owner(spool: Path, writer: str) -> bool:
    """Return whether a journal is of a process that started or resumed the run: it begins with a `RunStart`."""
    return begins_session(spool, writer, 0)


def begins_session(spool: Path, writer: str, segment: int) -> bool:
    """Return whether a segment begins with a `RunStart`: training started or was resumed there, or went back."""
    try:
        with segment_path(spool, writer, segment).open("rb") as file:
            return file.read(_START_BYTES).endswith(b'{"kind":"run_start"')
    except FileNotFoundError:
        return False


def sync_journals(spool: Path) -> None:
    """Have the operating system put on the disk what all writers have appended. May block."""
    for writer, segments in find_writers(spool).items():
        with contextlib.suppress(OSError):
            descriptor = os.open(segment_path(spool, writer, segments[-1]), os.O_RDONLY | os.O_CLOEXEC)
            try:
                sync_data(descriptor)
            finally:
                os.close(descriptor)
