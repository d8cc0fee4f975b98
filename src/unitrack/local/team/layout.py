"""What lies where in a team's store.

    <folder of a run>/metadata.json params.json      as in the run folder on the machine that logs it
    <folder of a run>/metrics.jsonl                  once the run has ended; until then, in parts:
    <folder of a run>/metrics/<generation>-<first byte>-<last byte>.jsonl
    <folder of a run>/artifacts/<name>.unitrack-blob pointers
    .unitrack/runs/<folder of a run>.msgpack         the entry: the run but its points, and which parts hold those
    blobs/sha256/...                                 files by their content, if `artifact_location` says nothing else

A run is what its entry says. It is written last and replaced as a whole, so that a reader never sees a half run, and it
is all that a listing reads.
"""

from __future__ import annotations

import zlib

import msgspec

from unitrack.errors import SourceError
from unitrack.hookspecs import RunSummary
from unitrack.records import Artifact, RunStart

ENTRIES = ".unitrack/runs/"
ENTRY_SUFFIX = ".msgpack"
BLOBS = "blobs"
FORMAT = 1
"""Of an entry."""
PART_BYTES = 64 * 1024 * 1024
"""The most bytes of one part. Smaller ones next to each other grow together."""


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part of `metrics.jsonl`."""

    key: str
    """Below the folder of the run."""
    start: int
    """The offset of its first byte in the whole file."""
    size: int
    checksum: int
    """CRC-32."""

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.start + self.size

    @classmethod
    def of(cls, key: str, start: int, data: bytes) -> Part:
        """Return the part that holds these bytes."""
        return cls(key, start, len(data), zlib.crc32(data))

    def holds(self, data: bytes) -> bool:
        """Return whether these bytes are those of the part."""
        return len(data) == self.size and zlib.crc32(data) == self.checksum


class RunEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run but its points. MessagePack, since JSON has no NaN and no infinity."""

    folder: str
    start: RunStart
    params: bytes
    """The content of `params.json`."""
    summary: RunSummary
    """Without params and artifacts."""
    artifacts: tuple[Artifact, ...]
    """The newest of each name; `file` is the URL of the content."""
    parts: tuple[Part, ...]
    format: int = FORMAT
    """Higher in an entry that this version can't read."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RunEntry)


def entry_key(folder: str) -> str:
    """Return the key of the entry of a run."""
    return f"{ENTRIES}{folder}{ENTRY_SUFFIX}"


def encode_entry(entry: RunEntry) -> bytes:
    """Return the content of an entry."""
    return _encoder.encode(entry)


def decode_entry(data: bytes, where: str) -> RunEntry:
    """Return an entry. Raises `SourceError` for what is none, or was written by a newer unitrack."""
    try:
        entry = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceError(f"{where} is no entry of a run: {error}") from error
    if entry.format > FORMAT:
        raise SourceError(f"{where} has format {entry.format}, and this unitrack knows {FORMAT}: install a newer one")
    return entry
