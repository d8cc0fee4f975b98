"""Records kept beside the journal, with the reason: one JSON object a line.

A sink has up to three such files: its dead letters, which the backend refused; artifacts that wait for their store; and
points that are superseded.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Set
from pathlib import Path
from typing import Literal

import msgspec

from unitrack.delivery.lane.batch import Batch
from unitrack.errors import JournalError
from unitrack.limits import MAX_LINE_BYTES
from unitrack.records import AnyRecord, Artifact
from unitrack.system.atomic import write_atomically
from unitrack.system.files import UnsafePathError, link_or_copy, locate_inside, make_folders, open_private, open_regular
from unitrack.values.codec import decode

Key = tuple[str, int]
"""A record: its writer, and its number in that one's journal."""


class _Numbered(msgspec.Struct, frozen=True):
    seq: int


class _Letter(msgspec.Struct, frozen=True):
    """The part of a line that identifies the record."""

    writer: str
    record: _Numbered


class _WholeLetter(msgspec.Struct, frozen=True):
    writer: str
    error: str
    record: AnyRecord


class Letters:
    """One such file. A record that is in it is not delivered again when its lane goes back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = read_letters(path)

    def __contains__(self, record: tuple[str, AnyRecord]) -> bool:
        writer, one = record
        return (writer, one.seq) in self._known

    @property
    def keys(self) -> Set[Key]:
        """The records in the file."""
        return self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, writer: str, record: AnyRecord, reason: str) -> None:
        """Keep a record. Raises `OSError` if the disk won't take it; the lane then goes back and judges it again."""
        letter = msgspec.json.encode({"writer": writer, "error": reason, "record": record}) + b"\n"
        with open(self._path, "a+b", opener=open_private) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            torn = end > 0 and file.read(1) != b"\n"  # by a crash: it must not take this one with it
            file.write(b"\n" + letter if torn else letter)
        self._known.add((writer, record.seq))

    def batches(self, origin: Literal["waiting", "dead"]) -> list[Batch]:
        """Return the records, one in a batch, to deliver them again."""
        return [Batch(letter.writer, [letter.record], origin) for letter in _letters(self._path)]

    def remove(self, keys: Collection[Key]) -> None:
        """Drop records that have arrived. Raises `OSError` if the disk won't take it."""
        gone = self._known.intersection(keys)
        if gone:
            kept = [line for line in _lines(self._path) if (key := _key_of(line)) is not None and key not in gone]
            write_atomically(self._path, b"".join(kept))
            self._known -= gone


class DeadLetters(Letters):
    """Records that the backend refused for good. The copy of an artifact is kept too, as the spool goes in the end."""

    def add(self, writer: str, record: AnyRecord, reason: str) -> None:
        """Keep a record, and an artifact's file. Raises `OSError` if the disk won't take it."""
        if isinstance(record, Artifact):
            record = self._keep_file(writer, record)
        super().add(writer, record, reason)

    def _keep_file(self, writer: str, artifact: Artifact) -> Artifact:
        run_folder = self._path.parent.parent
        try:
            copy = locate_inside(run_folder, artifact.file)
        except UnsafePathError:
            return artifact  # not written by unitrack: that is why it was refused
        kept = self._path.with_suffix("") / f"{writer}-{artifact.seq}" / copy.name
        if copy.exists() and not kept.exists():
            make_folders(kept.parent)
            link_or_copy(copy, kept)
        return (
            msgspec.structs.replace(artifact, file=kept.relative_to(run_folder).as_posix())
            if kept.exists()
            else artifact
        )


def read_letters(path: Path) -> set[Key]:
    """Return which records are kept in a file. Raises `JournalError` if it can't be read."""
    return {key for line in _lines(path) if (key := _key_of(line)) is not None}


def read_records(path: Path) -> Iterator[AnyRecord]:
    """Yield the records that are kept in a file. Raises `JournalError` if it can't be read."""
    return (letter.record for letter in _letters(path))


def _letters(path: Path) -> Iterator[_WholeLetter]:
    for line in _lines(path):
        try:
            yield decode(line, _WholeLetter)
        except (ValueError, RecursionError):
            continue  # torn, or not written by unitrack


def _key_of(line: bytes) -> Key | None:
    try:
        letter = decode(line, _Letter)
    except (ValueError, RecursionError):
        return None  # torn by a crash: the record comes again and is judged again
    return letter.writer, letter.record.seq


def _lines(path: Path) -> Iterator[bytes]:
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(0, f"can't read the letters ({error})", str(path)) from error
    with file:
        yield from iter(lambda: file.readline(MAX_LINE_BYTES), b"")
