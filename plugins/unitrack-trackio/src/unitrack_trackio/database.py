"""Reads a project's SQLite database, whose tables trackio documents (Storage Schema and Direct Queries).

A project is `<name>.db` in TRACKIO_DIR. `metrics` has a row for each log call, with its step and a JSON object of
values; `configs` has a JSON object for each run. It is opened for reading only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One log call."""

    id: int
    """Counts the rows of a project."""
    step: int
    values: dict[str, Any]
    timestamp: str


class TrackioRun(NamedTuple):
    """Who a run is."""

    id: str
    name: str
    config: dict[str, Any]


class Database:
    """One project's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def runs(self) -> Iterator[TrackioRun]:
        """The runs in the order of their first rows."""
        sql = (
            "SELECT m.run_id, m.run_name, c.config FROM (SELECT run_id, run_name, MIN(id) AS first FROM metrics "
            "GROUP BY run_id) m LEFT JOIN configs c ON c.run_id = m.run_id ORDER BY m.first"
        )
        for run_id, name, config in self._query(sql):
            yield TrackioRun(run_id, name, json.loads(config) if config else {})

    def rows(self, run_id: str, after: int = 0) -> Iterator[Row]:
        """The rows of a run in the order of logging, from beyond the row with the id `after`."""
        sql = "SELECT id, step, metrics, timestamp FROM metrics WHERE run_id = ? AND id > ? ORDER BY id"
        for number, step, metrics, timestamp in self._query(sql, run_id, after):
            yield Row(number, step, json.loads(metrics), timestamp)

    def _query(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        if not self.path.exists():
            return
        for mode in ("ro", "rw"):
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
                try:
                    yield from connection.execute(sql, values)
                except sqlite3.OperationalError as error:
                    if mode == "ro" and "readonly" in str(error):  # to undo a killed writer's transaction
                        continue
                    if "no such" not in str(error):  # a table that trackio makes with the first row
                        raise
            return
