"""Records that a backend refused, kept on disk with the reason: one JSON object a line."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from unitrack.errors import JournalError
from unitrack.learned import learned
from unitrack.limits import MAX_LINE_BYTES
from unitrack.records import AnyRecord
from unitrack.safe_files import open_private, open_regular


class _Refused(msgspec.Struct, frozen=True):
    seq: int


@learned
class _Letter(msgspec.Struct, frozen=True):
    """What of a line is needed to know the record again."""

    writer: str
    record: _Refused


class DeadLetters:
    """The dead letters of one sink. A record that is in here is not delivered again when its lane goes back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = read_letters(path)

    def __contains__(self, record: tuple[str, AnyRecord]) -> bool:
        writer, one = record
        return (writer, one.seq) in self._known

    def add(self, writer: str, record: AnyRecord, reason: str) -> None:
        """Keep a record. Raises `OSError` if the disk won't take it; the lane then goes back and judges it again."""
        letter = msgspec.json.encode({"writer": writer, "error": reason, "record": record}) + b"\n"
        with open(self._path, "a+b", opener=open_private) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            torn = end > 0 and file.read(1) != b"\n"  # by a crash: it must not take this one with it
            file.write(b"\n" + letter if torn else letter)
        self._known.add((writer, record.seq))


def read_letters(path: Path) -> set[tuple[str, int]]:
    """Writer and number of the records that are kept in a file. Raises `JournalError` if it can't be read."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise JournalError(0, f"can't read the dead letters ({error})", str(path)) from error
    found = set()
    with file:
        for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            try:
                letter = msgspec.json.decode(line, type=_Letter)
            except (ValueError, RecursionError):
                continue  # torn by a crash: the record comes again and is judged again
            found.add((letter.writer, letter.record.seq))
    return found
