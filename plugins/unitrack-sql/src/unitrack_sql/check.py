"""The checks of `unitrack doctor` for a database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Connection

from unitrack.errors import SinkError
from unitrack.hookspecs import Finding
from unitrack_sql.addresses import Address
from unitrack_sql.engines import make_engine
from unitrack_sql.errors import translated
from unitrack_sql.migrations import MIGRATIONS, require_known, version_of
from unitrack_sql.options import SqlOptions


def check(options: SqlOptions) -> Iterator[Finding]:
    """Look whether the packages are there, the database can be reached, and what its schema is. Nothing is written."""
    address = options.address()
    driver = f"SQLite {sqlite3.sqlite_version}" if address.path is not None else f"psycopg {version('psycopg')}"
    yield Finding(ok=True, subject="package", message=f"sqlalchemy {version('sqlalchemy')}, {driver}")
    if address.path is not None:
        found = _look_at_file(address.path)
        yield found
        if not found.ok or not address.path.exists():
            return
    yield _look_inside(address, options.timeout)


def _look_at_file(path: Path) -> Finding:
    there = next(place for place in (path, *path.parents) if place.exists())
    if there != path and not there.is_dir():
        return Finding(ok=False, subject="file", message=f"{there} is not a folder; choose another url")
    for place in {there, there if there.is_dir() else there.parent}:  # SQLite puts its log beside the database
        if not os.access(place, os.W_OK):
            message = f"{place} can't be written; change its permissions or choose another url"
            return Finding(ok=False, subject="file", message=message)
    state = "there and writable" if there == path else "not there yet; the first run creates it"
    return Finding(ok=True, subject="file", message=f"{path} is {state}")


def _look_inside(address: Address, timeout: int) -> Finding:
    engine = make_engine(address, timeout, reads_only=True)
    try:
        with translated(address.url), engine.connect() as connection:
            found = version_of(connection)
            require_known(found, address.url, len(MIGRATIONS))
            may_make = found or connection.dialect.name == "sqlite" or _may_make_tables(connection)
    except SinkError as error:
        return Finding(ok=False, subject="database", message=str(error))
    finally:
        engine.dispose()
    if not may_make:
        message = f"{address.url}: the user may not make tables; have the owner grant CREATE on the schema"
        return Finding(ok=False, subject="database", message=message)
    state = f"has version {found} of the schema" if found else "has no tables yet; the first run makes them"
    return Finding(ok=True, subject="database", message=f"{address.url} answers, and {state}")


def _may_make_tables(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("SELECT has_schema_privilege(current_schema(), 'CREATE')").scalar())
