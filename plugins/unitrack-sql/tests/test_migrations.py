"""The schema: made once by the first of many couriers, brought up to date, and refused if it is newer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect

from unitrack.errors import SinkMisconfiguredError, SourceError
from unitrack.testing import SinkDriver
from unitrack_sql.addresses import Address
from unitrack_sql.engines import Lease, make_engine
from unitrack_sql.migrations import MIGRATIONS, migrate, version_of
from unitrack_sql.options import SqlOptions
from unitrack_sql.schema import RUNS
from unitrack_sql.sink import SqlSink
from unitrack_sql.source import SqlSource

NEXT = (*MIGRATIONS, "ALTER TABLE unitrack_runs ADD COLUMN seen BIGINT; CREATE INDEX seen ON unitrack_runs (seen)")


def deliver(url: str, folder: Path) -> SinkDriver:
    driver = SinkDriver(SqlSink(SqlOptions(url=url)), SinkDriver.make_run(folder))
    driver.open()
    driver.metrics({"loss": 0.5}, 1)
    driver.end()
    return driver


def test_tables_are_those_that_queries_name(url: str) -> None:
    lease = Lease(Address.parse(url), 10)
    migrate(lease.engine, url)
    inspected = inspect(lease.engine)
    for table in RUNS.metadata.sorted_tables:
        found = {column["name"] for column in inspected.get_columns(table.name)}
        assert found == set(table.c.keys()), table.name
    lease.release()


def test_a_newer_schema_parks_the_sink_and_stops_the_source(url: str, tmp_path: Path) -> None:
    lease = Lease(Address.parse(url), 10)
    migrate(lease.engine, url, NEXT)
    with pytest.raises(SinkMisconfiguredError, match=r"version 2 of the schema.* knows up to 1: install a newer"):
        deliver(url, tmp_path / "run")
    with pytest.raises(SourceError, match=r"version 2 of the schema.* install a newer unitrack-sql"):
        SqlSource(url)
    lease.release()


def test_an_older_schema_is_brought_up_to_date_with_its_runs(url: str, tmp_path: Path) -> None:
    driver = deliver(url, tmp_path / "run")
    lease = Lease(Address.parse(url), 10)
    migrate(lease.engine, url, NEXT)
    migrate(lease.engine, url, NEXT)
    with lease.engine.connect() as connection:
        assert version_of(connection) == 2
        assert connection.exec_driver_sql("SELECT id, seen FROM unitrack_runs").all() == [(driver.link.id, None)]
        assert connection.exec_driver_sql("SELECT version FROM unitrack_schema ORDER BY 1").scalars().all() == [1, 2]
    lease.release()


def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    lease = Lease(Address.parse(url), 10)
    with pytest.raises(Exception, match="no_such_table"):
        migrate(lease.engine, url, (MIGRATIONS[0], "CREATE TABLE half (x BIGINT); DROP TABLE no_such_table"))
    with lease.engine.connect() as connection:
        assert version_of(connection) == 0
    migrate(lease.engine, url)
    with lease.engine.connect() as connection:
        assert version_of(connection) == 1
    lease.release()


def test_couriers_that_start_at_once_make_it_once(url: str) -> None:
    """Each thread has a connection of its own, as each courier has."""
    together = threading.Barrier(8)

    def start(_: int) -> None:
        engine = make_engine(Address.parse(url), 60)
        try:
            with engine.connect() as connection:
                assert version_of(connection) == 0
            together.wait(60)
            migrate(engine, url)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(8) as couriers:
        list(couriers.map(start, range(8)))
    engine = make_engine(Address.parse(url), 10)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version FROM unitrack_schema").scalars().all() == [1]
    engine.dispose()
