"""The index of a folder of runs: what listing them has read, in an SQLite file beside them.

Readers write it, never training. It is disposable: if it is missing, damaged, locked or of another version, or if the
folder can't be written, the files of the runs are read, and deleting it costs only time. An entry counts as long as
size, time of change and inode of the run's files are what they were. Nobody waits for a lock for long, and a
transaction needs no second file: after a crash in one, checksums tell the entries that are whole.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from unitrack.hookspecs import MetricSummary, RunSummary
from unitrack.limits import MAX_STATE_BYTES
from unitrack.records import RunStart
from unitrack.system.files import open_private

if TYPE_CHECKING:
    import sqlite3

INDEX = ".unitrack-index.sqlite3"
_LAYOUT = 1
"""Raised when what is read of a run's files changes."""
_FIELDS = "".join(map(str, (RunStart.__struct_fields__, RunSummary.__struct_fields__, MetricSummary.__struct_fields__)))
_TABLE = f"runs_{_LAYOUT}_{zlib.crc32(_FIELDS.encode()):08x}"
_LOCK_S = 0.1
"""The longest wait for a lock. A transaction of 1,000 runs takes 20 ms."""
_SETTLED_NS = 2_000_000_000
"""A file that changed less than this before it was read gets no entry: file systems tell times to a second or worse, so
that another change may leave the same time."""
_WORTH_KEEPING_RUNS, _WORTH_KEEPING_BYTES = 20, 256 * 1024
"""Fewer new runs, with fewer bytes, are read again in a few milliseconds."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A run of the index."""

    start: RunStart
    summary: RunSummary


class Signature(msgspec.Struct, frozen=True):
    """The state of the files that a run is read from."""

    text: str
    bytes: int
    changed_ns: int
    """When the last of them changed."""

    @classmethod
    def of(cls, folder: str, names: Collection[str]) -> Signature:
        """Return the state of files in a folder; one that is missing is a state as well."""
        parts, size, changed = [], 0, 0
        for name in names:
            try:
                found = os.stat(f"{folder}/{name}")
            except OSError:
                parts.append("-")
                continue
            parts.append(f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}")
            size, changed = size + found.st_size, max(changed, found.st_mtime_ns)
        return cls(" ".join(parts), size, changed)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class Index:
    """The index of one folder, read once. `find` and `add` are for its runs in turn, `save` comes last."""

    def __init__(self, root: Path) -> None:
        self._path = root / INDEX
        self._known = self._read()
        self._new: dict[str, tuple[str, bytes]] = {}
        self._new_bytes = 0
        self._began_ns = time.time_ns()

    def find(self, name: str, signature: Signature) -> Entry | None:
        """Return the run in the folder of this name, if its files are as they were."""
        known = self._known.get(name)
        if known is None or known[0] != signature.text:
            return None
        try:
            return _decoder.decode(known[1])
        except msgspec.MsgspecError:
            return None

    def add(self, name: str, signature: Signature, entry: Entry) -> None:
        """Keep a run whose files have been read; `signature` is from before."""
        if signature.changed_ns > self._began_ns - _SETTLED_NS:
            return
        with contextlib.suppress(OverflowError, TypeError, ValueError, RecursionError):  # an int beyond 64 bits
            self._new[name] = (signature.text, _encoder.encode(entry))
            self._new_bytes += signature.bytes

    def save(self, names: Collection[str]) -> None:
        """Write new runs, and remove those that are not among `names` any more. Trouble is no error."""
        if len(self._new) < _WORTH_KEEPING_RUNS and self._new_bytes < _WORTH_KEEPING_BYTES:
            return
        import sqlite3  # noqa: PLC0415  # 3 ms, which a courier that loads this package need not pay

        gone = [(name,) for name in self._known if name not in names]
        try:
            self._write(gone)
        except sqlite3.OperationalError:
            return  # locked by another reader that writes, or the disk is full
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError, sqlite3.Error):
                self._path.unlink()
                self._write([])
        except OSError:
            return  # a folder that can't be written

    def _write(self, gone: list[tuple[str]]) -> None:
        os.close(open_private(self._path, os.O_RDWR | os.O_CREAT))
        with self._connect("rw") as connection:
            connection.execute("PRAGMA journal_mode=MEMORY")
            connection.execute("PRAGMA synchronous=OFF")
            with connection:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {_TABLE} (name TEXT PRIMARY KEY, row BLOB) WITHOUT ROWID"
                )
                connection.executemany(f"DELETE FROM {_TABLE} WHERE name = ?", gone)
                rows = ((name, _row(name, *content)) for name, content in self._new.items())
                connection.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?)", rows)

    def _read(self) -> Mapping[str, tuple[str, bytes]]:
        try:
            found = os.lstat(self._path)
        except OSError:
            return {}
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_STATE_BYTES:
            return {}
        import sqlite3  # noqa: PLC0415  # as above

        try:
            with self._connect("ro") as connection:
                rows = connection.execute(f"SELECT name, row FROM {_TABLE}").fetchall()
        except (sqlite3.Error, OSError, ValueError):  # damaged, locked, or of another version
            return {}
        return {name: content for name, row in rows if (content := _content(name, row)) is not None}

    @contextlib.contextmanager
    def _connect(self, mode: str) -> Iterator[sqlite3.Connection]:
        import sqlite3  # noqa: PLC0415  # as above

        address = f"file:{quote(os.fsencode(self._path))}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, timeout=_LOCK_S)
        try:
            yield connection
        finally:
            connection.close()


def _row(name: str, signature: str, content: bytes) -> bytes:
    body = signature.encode() + b"\0" + content
    return zlib.crc32(body, zlib.crc32(name.encode())).to_bytes(4, "big") + body


def _content(name: object, row: object) -> tuple[str, bytes] | None:
    """Return signature and entry of a row; None if it is damaged."""
    if not isinstance(name, str) or not isinstance(row, bytes):
        return None
    if zlib.crc32(row[4:], zlib.crc32(name.encode())).to_bytes(4, "big") != row[:4]:
        return None
    signature, _, content = row[4:].partition(b"\0")
    return signature.decode("ascii", "replace"), content
