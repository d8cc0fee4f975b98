"""What is in a file or a folder: its SHA-256 and its size, read as a stream."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from unitrack.errors import UnitrackError
from unitrack.system.files import files_below


class ContentChangedError(UnitrackError, OSError):
    """A file was written while its content was read, so that what was read is neither the old content nor the new."""


class Member(msgspec.Struct, frozen=True):
    """A file of a folder."""

    path: str
    """Relative to the folder, with slashes."""
    size: int
    """Bytes."""
    digest: str
    """The SHA-256 in hexadecimal."""


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a file or a folder."""

    digest: str
    """The SHA-256 in hexadecimal; a folder's is that of the list of its members, see `folder_digest`."""
    size: int
    """Bytes; a folder's in all."""
    members: tuple[Member, ...] | None = None
    """The files of a folder in the order of their paths; None for a file."""


def content_of(path: Path) -> Content:
    """Return the content of a file or a folder, which is read as a whole, a part at a time.

    Links and folders without a file in them do not count. Raises `ContentChangedError` if a file is written meanwhile,
    and `OSError` if one can't be read.
    """
    if not path.is_dir():
        digest, size = _digest_and_size(path)
        return Content(digest, size)
    members = tuple(Member(name, size, digest) for name, (digest, size) in _files_of(path))
    return Content(folder_digest(members), sum(one.size for one in members), members)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises as `content_of` does."""
    return _digest_and_size(path)[0]


def folder_digest(members: Iterable[Member]) -> str:
    """Return the SHA-256 of a folder: that of the JSON of its files in the order of their paths, one a line.

    So two folders with the same files have the same digest, whatever their times and modes.
    """
    whole = hashlib.sha256()
    for one in sorted(members, key=lambda member: member.path):
        whole.update(msgspec.json.encode([one.path, one.size, one.digest]) + b"\n")
    return whole.hexdigest()


def differences(path: Path, expected: Content) -> list[str]:
    """Return what differs between a file or a folder and what it should be; nothing if it is whole.

    Each is a sentence such as "weights.pt has another content". Raises `OSError` if a file can't be read.
    """
    found = content_of(path)
    if expected.members is None or found.members is None:
        return [] if found.digest == expected.digest else [f"{path.name} has another content"]
    here = {one.path: one for one in found.members}
    wanted = {one.path: one for one in expected.members}
    missing = [f"{name} is missing" for name in wanted.keys() - here.keys()]
    added = [f"{name} was added" for name in here.keys() - wanted.keys()]
    changed = [f"{name} has another content" for name in wanted.keys() & here.keys() if wanted[name] != here[name]]
    return sorted([*missing, *added, *changed])


def _files_of(folder: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    paths = (path for path in files_below(folder) if not path.is_symlink())
    inside = sorted((path.relative_to(folder).as_posix(), path) for path in paths)
    for name, path in inside:
        yield name, _digest_and_size(path)


def _digest_and_size(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        before = _state(file)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if _state(file) != before:
            raise ContentChangedError(f"{path} was written while it was read; store it when its writer is done")
    return digest, before[0]


def _state(file: BinaryIO) -> tuple[int, int]:
    now = os.fstat(file.fileno())
    return now.st_size, now.st_mtime_ns
