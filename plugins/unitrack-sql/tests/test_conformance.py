"""The SQL backend passes the conformance suite on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import unitrack_sql
from unitrack.testing import SinkConformance, Trial, in_the_way


class TestSqlite(SinkConformance):
    """A file."""

    plugin = unitrack_sql

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"url": f"sqlite:///{tmp_path}/runs.db"}

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        """The file can't be opened."""
        return in_the_way(Path(trial.spec.options["url"].removeprefix("sqlite:///")), by="folder")


class TestPostgresql(SinkConformance):
    """A database of a server, which all tests share."""

    plugin = unitrack_sql

    @pytest.fixture
    def sink_options(self, shared_database: str) -> dict[str, Any]:
        return {"url": shared_database}

    @contextmanager
    def outage(self, trial: Trial) -> Iterator[None]:
        """The table of runs is missing, as while a backup is restored."""
        with closing(psycopg.connect(trial.spec.options["url"], autocommit=True)) as connection:
            connection.execute("ALTER TABLE IF EXISTS unitrack_runs RENAME TO unitrack_runs_away")
            try:
                yield
            finally:
                connection.execute("ALTER TABLE IF EXISTS unitrack_runs_away RENAME TO unitrack_runs")
