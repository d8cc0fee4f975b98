"""Artifacts that are stored elsewhere: a small file in their place says where, and what is in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.blobs.content import Content
from unitrack.errors import SinkError, SourceError
from unitrack.limits import MAX_STATE_BYTES
from unitrack.system.atomic import write_atomically
from unitrack.system.files import read_regular

SUFFIX = ".unitrack-blob"
"""Of the file in the place of an artifact."""


class Pointer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an artifact is, as JSON."""

    location: str
    """Of the store; see `blobs.store.open_store`."""
    content: Content


def pointer_path(base: Path, name: str) -> Path:
    """Return the path of the pointer of the artifact `name`, given the folder of artifacts."""
    return base / f"{name}{SUFFIX}"


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Write a pointer. Raises `OSError`."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n")


def read_pointer(path: Path) -> Pointer:
    """Return a pointer. Raises `OSError`, and `SourceError` for what is none."""
    return decode_pointer(read_regular(path, MAX_STATE_BYTES), str(path))


def decode_pointer(data: bytes, where: str) -> Pointer:
    """Return a pointer from its JSON. Raises `SourceError` for what is none."""
    try:
        return msgspec.json.decode(data, type=Pointer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceError(f"{where} is no pointer to an artifact: {error}") from error


def fetch_content(pointer: Pointer, target: Path) -> Path:
    """Bring what a pointer leads to into a new file or folder. Raises `SourceError` if that fails."""
    from unitrack.blobs.store import open_store  # noqa: PLC0415  # as in `artifacts`

    with as_source_error():
        return open_store(pointer.location).fetch(pointer.content, target)


@contextlib.contextmanager
def as_source_error() -> Iterator[None]:
    """Raise what a store can't do as `SourceError`: for those who read."""
    try:
        yield
    except SinkError as error:
        raise SourceError(str(error)) from error
