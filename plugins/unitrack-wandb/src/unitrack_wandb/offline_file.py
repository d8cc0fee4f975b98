"""Reader of the `.wandb` files that the SDK writes; the SDK itself ships none (0.31).

A file is a header of 7 bytes (":W&B", a magic number, a version) and then a LevelDB log: blocks of 32 KiB, in them
chunks of a 7-byte header (CRC-32, length, type) and a body. A record is one chunk or several, and is a protobuf
`Record`.

A damaged chunk is skipped. Reading goes on behind it if its length leads to another one, else at the next block.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from unitrack_wandb.sdk import pb

_BLOCK = 32 * 1024
_FILE_HEADER = 7
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_TYPES = range(_FULL, _LAST + 1)
_HISTORY, _SUMMARY = 0x12, 0x1A
"""The tags of `Record.history` and `Record.summary`."""
_OF_A_ROW = (b"\x0a\x08_runtime", b"\x12\x08_runtime")
"""A key in the summaries that the SDK derives from each row of history, two for each. One set by hand lacks it."""

OnDamage = Callable[[int], object]
"""Called with the number of bytes that were skipped."""


def _ignore(size: int) -> None:
    """Skip damage without a word."""


class NotAWandbFileError(ValueError):
    """The file does not start as a `.wandb` file does."""


def read_records(path: Path, on_damage: OnDamage = _ignore) -> Iterator[pb.Record]:
    """Yield the records of a file in order, as `read_messages` gives them."""
    decode = pb.Record.FromString
    return (decode(message) for message in read_messages(path, on_damage))


def read_messages(path: Path, on_damage: OnDamage = _ignore) -> Iterator[bytes]:
    """Yield the records of a file in order and encoded, up to where its writer was stopped.

    Summaries that the SDK derives from rows are left out; those set by hand are there. Raises `NotAWandbFileError` if
    the file is something else, `OSError` if it can't be read.
    """
    with path.open("rb") as file:
        if file.read(_FILE_HEADER)[:4] != b":W&B":
            raise NotAWandbFileError(f"{path} is no .wandb file: it does not begin with :W&B")
        for message in _messages(file, on_damage):
            if _first_field(message) != _SUMMARY or not any(key in message for key in _OF_A_ROW):
                yield message


def is_row(message: bytes) -> bool:
    """Return whether an encoded record is a row of history."""
    return _first_field(message) == _HISTORY


def _first_field(message: bytes) -> int:
    """Return the tag of the first field behind `Record.num`, field 1."""
    at = 0
    if message[:1] == b"\x08":
        at = 1
        while at < len(message) and message[at] & 0x80:
            at += 1
        at += 1
    return message[at] if at < len(message) else 0


def _messages(file: BinaryIO, on_damage: OnDamage) -> Iterator[bytes]:
    parts: list[bytes] | None = None
    """The parts of a record so far; None outside of a record that began undamaged."""
    for type_, body in _chunks(file, on_damage):
        if type_ == _FULL:
            parts = None
            yield body
        elif type_ == _FIRST:
            parts = [body]
        elif type_ not in _TYPES:
            parts = None
        elif parts is None:
            on_damage(len(body))  # its beginning is lost
        else:
            parts.append(body)
            if type_ == _LAST:
                yield b"".join(parts)
                parts = None


def _chunks(file: BinaryIO, on_damage: OnDamage) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the body of each chunk, and the type 0 where chunks are damaged."""
    size = _BLOCK - _FILE_HEADER  # the file's header counts as part of the first block
    while block := file.read(size):
        at = 0
        while at + _CHUNK.size <= len(block):
            crc, length, type_ = _CHUNK.unpack_from(block, at)
            end = at + _CHUNK.size + length
            if end > len(block) and len(block) < size and type_ in _TYPES:
                return  # the end of the file, where its writer was stopped
            body = block[at + _CHUNK.size : end]
            if type_ in _TYPES and zlib.crc32(body, zlib.crc32(bytes([type_]))) == crc:
                yield type_, body
                at = end
                continue
            if type_ not in _TYPES or end > len(block):
                end = len(block)
            on_damage(end - at)
            yield 0, b""
            at = end
        size = _BLOCK
