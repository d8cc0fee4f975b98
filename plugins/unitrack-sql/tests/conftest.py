"""Real databases: SQLite files, and a PostgreSQL server for the session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from unitrack_tests.postgres import Server, serving

os.environ["UNITRACK_LINGER"] = "5"  # seconds that a courier tries on after a test whose database is down


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def shared_database(server: Server) -> str:
    """The URL of a database of PostgreSQL's that tests share."""
    return server.make_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of its own for a test: each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    server: Server = request.getfixturevalue("server")
    return server.make_database()
