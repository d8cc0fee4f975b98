"""The artifacts of one run: a row for each, with the files that belong to it.

An artifact that is logged again is a new row; the older one of its name is removed afterwards, with the contents that
no artifact has any more. On PostgreSQL one statement removes a content and its chunks. Another sink that stores a file
of the same content meanwhile finds either all of it or nothing, so it never refers to a content that is being removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, text

from unitrack.hookspecs import RunContext
from unitrack.records import Artifact
from unitrack_sql.contents import Content, read_contents, store_content
from unitrack_sql.names import digest, stored
from unitrack_sql.store import Fence, Store, lost

_COLUMNS = "run_key, digest, name, type, folder, size, step, time, annotations"
_VALUES = ":digest, :name, :type, :folder, :size, :step, :time, :annotations"
_ADD = text(
    f"INSERT INTO unitrack_artifacts ({_COLUMNS}) SELECT key, {_VALUES} FROM unitrack_runs "
    "WHERE key = :run_key AND opened = :opened RETURNING key"
)
_ADD_FILE = text(
    "INSERT INTO unitrack_files (artifact_key, number, path, digest) VALUES (:artifact, :number, :path, :content)"
)
_ADD_WITH_FILES = (
    "WITH held AS (SELECT key FROM unitrack_runs WHERE key = %(run_key)s AND opened = %(opened)s FOR SHARE), "
    f"added AS (INSERT INTO unitrack_artifacts ({_COLUMNS}) SELECT held.key, %(digest)s, %(name)s, %(type)s, "
    "%(folder)s, %(size)s, %(step)s, %(time)s, %(annotations)s FROM held RETURNING key), "
    "files AS (INSERT INTO unitrack_files (artifact_key, number, path, digest) SELECT added.key, rows.* FROM added, "
    "unnest(%(numbers)s::bigint[], %(paths)s::text[], %(contents)s::text[]) AS rows) SELECT key FROM added"
)
_OLDER = "run_key = :run_key AND digest = :digest AND key < :artifact"
_OLD_CONTENTS = text(
    "SELECT DISTINCT digest FROM unitrack_files "
    f"WHERE artifact_key IN (SELECT key FROM unitrack_artifacts WHERE {_OLDER})"
)
_REMOVE = text(f"DELETE FROM unitrack_artifacts WHERE {_OLDER}")
_UNUSED = (
    "DELETE FROM unitrack_blobs WHERE digest IN :digests "
    "AND NOT EXISTS (SELECT 1 FROM unitrack_files f WHERE f.digest = unitrack_blobs.digest) RETURNING digest"
)
_DROP_BLOBS = text(_UNUSED).bindparams(bindparam("digests", expanding=True))
_DROP_CHUNKS = text("DELETE FROM unitrack_chunks WHERE digest IN :digests").bindparams(
    bindparam("digests", expanding=True)
)
_DROP_BOTH = text(
    f"WITH gone AS ({_UNUSED}) DELETE FROM unitrack_chunks WHERE digest IN (SELECT digest FROM gone)"
).bindparams(bindparam("digests", expanding=True))


class Artifacts:
    """Writes the artifacts of one run."""

    def __init__(self, store: Store, fence: Fence, run: RunContext, limit: int) -> None:
        self._store = store
        self._fence = fence
        self._run = run
        self._limit = limit

    def write(self, artifact: Artifact) -> None:
        """Store the files of an artifact, and then its row, in place of an older one of its name."""
        path = self._run.locate(artifact)
        contents = read_contents(path, self._limit)
        for content in contents:
            store_content(self._store, content)
        row = {
            "run_key": self._fence.run_key,
            "opened": self._fence.opened,
            "digest": digest(artifact.name),
            "name": stored(artifact.name),
            "type": artifact.type,
            "folder": int(path.is_dir()),
            "size": artifact.size,
            "step": artifact.step,
            "time": artifact.time,
            "annotations": msgspec.json.encode(artifact.annotations).decode(),
        }
        add = _add_on_postgresql if self._store.is_postgresql else _add_on_sqlite
        key = self._store.ask(partial(add, row, contents))
        if key is None:
            raise lost()
        self._remove_older({**row, "artifact": key})

    def _remove_older(self, row: dict[str, Any]) -> None:
        old = self._store.ask(lambda connection: connection.execute(_OLD_CONTENTS, row).scalars().all())
        remove = partial(_do, _REMOVE, row)
        if not old:
            self._store.write(remove)
        elif self._store.is_postgresql:
            self._store.write(remove, partial(_do, _DROP_BOTH, {"digests": list(old)}))
        else:
            self._store.write(remove, partial(_drop_on_sqlite, old))


def _drop_on_sqlite(digests: Sequence[str], connection: Connection) -> None:
    gone = connection.execute(_DROP_BLOBS, {"digests": list(digests)}).scalars().all()
    if gone:
        connection.execute(_DROP_CHUNKS, {"digests": list(gone)})


def _do(statement: Any, values: dict[str, Any], connection: Connection) -> None:
    connection.execute(statement, values)


def _add_on_sqlite(row: dict[str, Any], contents: Sequence[Content], connection: Connection) -> int | None:
    key: int | None = connection.execute(_ADD, row).scalar()
    if key is not None and contents:
        files = [
            {"artifact": key, "number": number, "path": stored(one.path), "content": one.digest}
            for number, one in enumerate(contents)
        ]
        connection.execute(_ADD_FILE, files)
    return key


def _add_on_postgresql(row: dict[str, Any], contents: Sequence[Content], connection: Connection) -> int | None:
    files = {
        "numbers": list(range(len(contents))),
        "paths": [stored(one.path) for one in contents],
        "contents": [one.digest for one in contents],
    }
    key: int | None = connection.exec_driver_sql(_ADD_WITH_FILES, row | files).scalar()
    return key
