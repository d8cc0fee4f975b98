"""Reader of the `.wandb` files that the SDK writes; the SDK itself ships none (0.31).

A file is a header of 7 bytes (":W&B", a magic number, a version) and then a LevelDB log: blocks of 32 KiB, in them
chunks of a 7-byte header (CRC-32, length, type) and a body. A record is one chunk or several, and is a protobuf
`Record`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from unitrack_wandb.sdk import pb

_BLOCK = 32 * 1024
_FILE_HEADER = 7
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class NotAWandbFileError(ValueError):
    """The file does not start as a `.wandb` file does."""


def read_records(path: Path) -> Iterator[pb.Record]:
    """The records of a file in order, up to where it was torn or damaged.

    Raises `NotAWandbFileError` if it is something else, `OSError` if it can't be read.
    """
    with path.open("rb") as file:
        if file.read(_FILE_HEADER)[:4] != b":W&B":
            raise NotAWandbFileError(f"{path} is no .wandb file: it does not begin with :W&B")
        for message in _messages(file):
            yield pb.Record.FromString(message)


def _messages(file: BinaryIO) -> Iterator[bytes]:
    parts: list[bytes] = []
    for type_, body in _chunks(file):
        if type_ in (_FULL, _FIRST):
            parts = []
        parts.append(body)
        if type_ in (_FULL, _LAST):
            yield b"".join(parts)
            parts = []


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    size = _BLOCK - _FILE_HEADER  # the file's header counts as part of the first block
    while block := file.read(size):
        size = _BLOCK
        at = 0
        while at + _CHUNK.size <= len(block):
            crc, length, type_ = _CHUNK.unpack_from(block, at)
            body = block[at + _CHUNK.size : at + _CHUNK.size + length]
            if type_ not in (_FULL, _FIRST, _MIDDLE, _LAST) or zlib.crc32(body, zlib.crc32(bytes([type_]))) != crc:
                return
            at += _CHUNK.size + length
            yield type_, body
