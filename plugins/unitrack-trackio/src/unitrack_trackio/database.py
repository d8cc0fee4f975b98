"""Reads a project's SQLite database, whose tables trackio documents (Storage Schema and Direct Queries).

A project is `<name>.db` in TRACKIO_DIR. `metrics` has a row for each log call, with its step and a JSON object of
values; `configs` has a JSON object for each run; `artifact_versions` has the manifest of each version of an artifact.
Nothing is written to it, and no `-wal` or `-shm` file is left beside it.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from unitrack.errors import SourceError

_COLUMNS = {
    "metrics": {"id", "run_id", "run_name", "timestamp", "step", "metrics"},
    "configs": {"run_id", "config"},
}
"""What is read of the tables that every run has."""

_ARTIFACTS = (
    "SELECT v.producer_run_id, a.name, a.type, v.version, v.size_bytes, v.created_at "
    "FROM artifact_versions v JOIN artifacts a ON a.id = v.artifact_id"
)


class Row(NamedTuple):
    """One log call."""

    id: int
    """Counts the rows of a project."""
    step: int
    values: dict[str, Any]
    timestamp: str
    run_id: str


class TrackioRun(NamedTuple):
    """The identity and the config of a run."""

    id: str
    name: str
    config: dict[str, Any]


class ArtifactVersion(NamedTuple):
    """One version of an artifact that a run logged."""

    run_id: str
    name: str
    type: str
    version: int
    size: int
    """Bytes, of all its files."""
    timestamp: str


class Database:
    """The database of one project; one that does not exist has no runs.

    Every method raises `SourceError` for tables of another layout and for JSON that is damaged, and `sqlite3.Error` if
    SQLite can't read the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def runs(self) -> Iterator[TrackioRun]:
        """Yield the runs in the order of their first rows."""
        sql = (
            "SELECT m.run_id, m.run_name, c.config FROM (SELECT MIN(id) AS id FROM metrics GROUP BY run_id) f "
            "JOIN metrics m ON m.id = f.id LEFT JOIN configs c ON c.run_id = m.run_id ORDER BY m.id"
        )
        yield from map(self._run, self._query(sql))

    def run(self, run_id: str) -> TrackioRun | None:
        """Return the run with trackio's id `run_id`, without reading others."""
        sql = (
            "SELECT m.run_id, m.run_name, c.config FROM metrics m LEFT JOIN configs c ON c.run_id = m.run_id "
            "WHERE m.run_id = ? LIMIT 1"
        )
        return next(map(self._run, self._query(sql, run_id)), None)

    def rows(self, run_id: str, after: int = 0) -> Iterator[Row]:
        """Yield the rows of a run in the order of logging, from beyond the row with the id `after`."""
        sql = "SELECT id, step, metrics, timestamp, run_id FROM metrics WHERE run_id = ? AND id > ? ORDER BY id"
        yield from map(self._row, self._query(sql, run_id, after))

    def all_rows(self) -> Iterator[Row]:
        """Yield the rows of all runs in the order of logging."""
        yield from map(self._row, self._query("SELECT id, step, metrics, timestamp, run_id FROM metrics ORDER BY id"))

    def artifacts(self, run_id: str | None = None) -> Iterator[ArtifactVersion]:
        """Yield the versions of artifacts that a run, or any run, logged, in the order of logging."""
        if run_id is None:
            found = self._query(f"{_ARTIFACTS} ORDER BY v.id")
        else:
            found = self._query(f"{_ARTIFACTS} WHERE v.producer_run_id = ? ORDER BY v.id", run_id)
        yield from itertools.starmap(ArtifactVersion, found)

    def manifest(self, name: str, version: int) -> list[dict[str, Any]] | None:
        """Return the files of a version of an artifact: `path`, and `digest` or `ref` of each. None if it is gone."""
        sql = (
            "SELECT v.manifest FROM artifact_versions v JOIN artifacts a ON a.id = v.artifact_id "
            "WHERE a.name = ? AND v.version = ?"
        )
        for (manifest,) in self._query(sql, name, version):
            return self._decode(manifest, f"the manifest of {name}:v{version}")  # type: ignore[no-any-return]
        return None

    def _run(self, found: tuple[Any, ...]) -> TrackioRun:
        run_id, name, config = found
        return TrackioRun(run_id, name, self._decode(config, f"the config of {name!r}") if config else {})

    def _row(self, found: tuple[Any, ...]) -> Row:
        number, step, metrics, timestamp, run_id = found
        return Row(number, step, self._decode(metrics, f"row {number} of metrics"), timestamp, run_id)

    def _decode(self, text: bytes | str, what: str) -> Any:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise SourceError(
                f"{what} in {self.path} is damaged: {error}; restore the file, or delete the row"
            ) from error

    def _query(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        if not self.path.exists():
            return
        with closing(self._open()) as connection:
            if self._has_tables(connection):
                yield from connection.execute(sql, values)

    def _open(self) -> sqlite3.Connection:
        """Connect for queries only.

        One with mode=ro leaves a `-wal` and a `-shm` file behind, and can't undo a killed writer's transaction. In a
        folder that can't be written, where SQLite can't make those files, nobody else writes either.
        """
        uri = self.path.absolute().as_uri()
        connection = sqlite3.connect(f"{uri}?mode=rw", uri=True)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
            return sqlite3.connect(f"{uri}?immutable=1", uri=True)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _has_tables(self, connection: sqlite3.Connection) -> bool:
        """Return whether trackio has made its tables. Raises `SourceError` if they are not as expected."""
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables - {"sqlite_sequence"}:
            return False  # a writer has just begun
        for table, expected in _COLUMNS.items():
            missing = expected - {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
            if missing:
                [version] = connection.execute("PRAGMA user_version").fetchone()
                raise SourceError(
                    f"{self.path} has another layout than trackio's (version {version}): the table {table} lacks "
                    f"{', '.join(sorted(missing))}; if an older trackio wrote it, open it once with the installed one "
                    f"(`trackio list runs --project {self.path.stem}`), else upgrade unitrack-trackio"
                )
        return True
