"""The contents of artifacts: files in chunks, each file once in a database however many runs have it.

A file is known by its SHA-256. Its row in `unitrack_blobs` is written after its last chunk, so an upload that was cut
off goes on where it was, and is never taken for a whole file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text

from unitrack.errors import RecordRejectedError, SinkUnavailableError, SourceError
from unitrack_sql.store import Store

CHUNK_BYTES = 1024**2
"""One row, and so one statement: little enough for any setting of a server, and for the memory of a courier."""

_HAS = text("SELECT 1 FROM unitrack_blobs WHERE digest = :digest")
_CHUNKS = text("SELECT count(*) FROM unitrack_chunks WHERE digest = :digest")
_WRITE = text(
    "INSERT INTO unitrack_chunks (digest, number, data) VALUES (:digest, :number, :data) ON CONFLICT DO NOTHING"
)
_DONE = text(
    "INSERT INTO unitrack_blobs (digest, size) SELECT :digest, :size "
    "WHERE (SELECT count(*) FROM unitrack_chunks WHERE digest = :digest) = :chunks ON CONFLICT DO NOTHING"
)
_READ = text("SELECT data FROM unitrack_chunks WHERE digest = :digest AND number = :number")


class Content(NamedTuple):
    """A file by its content."""

    path: str
    """In its folder; empty for a file that is an artifact by itself."""
    file: Path
    digest: str
    size: int


def read_contents(path: Path, limit: int) -> list[Content]:
    """Return the files of an artifact. Raises `RecordRejectedError` if they have more than `limit` bytes in all."""
    files = [path] if not path.is_dir() else sorted(file for file in path.rglob("*") if file.is_file())
    total = sum(file.stat().st_size for file in files)
    if total > limit:
        raise RecordRejectedError(
            f"it has {total:,} bytes, more than the {limit:,} that max_artifact_size of the sink lets into the database"
        )
    return [_content(path, file) for file in files]


def _content(path: Path, file: Path) -> Content:
    inside = "" if file == path else file.relative_to(path).as_posix()
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return Content(inside, file, digest, opened.tell())


def store_content(store: Store, content: Content) -> None:
    """Write the chunks of a file that the database does not have. Raises `RecordRejectedError` if the file changes."""
    key = {"digest": content.digest}
    if store.ask(lambda connection: connection.execute(_HAS, key).scalar()):
        return
    first = store.ask(lambda connection: connection.execute(_CHUNKS, key).scalar_one())
    hashed = hashlib.sha256()
    size = 0
    with content.file.open("rb") as opened:
        number = 0
        while data := opened.read(CHUNK_BYTES):
            hashed.update(data)
            size += len(data)
            if number >= first:
                store.ask(partial(_write_chunk, content.digest, number, data))
            number += 1
    if (hashed.hexdigest(), size) != (content.digest, content.size):
        raise RecordRejectedError(f"{content.file.name} changed while it was stored")
    store.ask(partial(_finish, content, number))
    if not store.ask(lambda connection: connection.execute(_HAS, key).scalar()):
        raise SinkUnavailableError("chunks of a file were removed while it was stored", reopen=True)


def _write_chunk(digest: str, number: int, data: bytes, connection: Connection) -> None:
    connection.execute(_WRITE, {"digest": digest, "number": number, "data": data})


def _finish(content: Content, chunks: int, connection: Connection) -> None:
    connection.execute(_DONE, {"digest": content.digest, "size": content.size, "chunks": chunks})


def bring_content(connection: Connection, digest: str, size: int, target: Path) -> None:
    """Write the content of a file to `target`. Raises `SourceError` if it is not what was stored."""
    hashed = hashlib.sha256()
    with target.open("wb") as opened:
        for data in _chunks(connection, digest, size):
            hashed.update(data)
            opened.write(data)
    if hashed.hexdigest() != digest:
        target.unlink()
        raise SourceError(f"the content of {target.name!r} in the database is damaged: its SHA-256 is another one")


def _chunks(connection: Connection, digest: str, size: int) -> Iterator[bytes]:
    for number in range(-(-size // CHUNK_BYTES)):
        data = connection.execute(_READ, {"digest": digest, "number": number}).scalar()
        yield bytes(data) if data is not None else b""
