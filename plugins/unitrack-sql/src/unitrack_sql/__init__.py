"""The SQL backend of unitrack: runs in a SQLite or PostgreSQL database. Cheap to import: no SQLAlchemy, no driver."""

from __future__ import annotations

from unitrack import hookimpl
from unitrack.hookspecs import Backend
from unitrack_sql.options import SqlOptions

__all__ = ["SqlOptions", "register_backends"]
__version__ = "0.1.0"

LANES_AT_ONCE = 4
"""Calls to one database at a time. A SQLite file takes one writer; PostgreSQL has 100 connections by default, which
the couriers of many machines share."""

NATIVE = {
    "metrics": "unitrack_points",
    "params": "unitrack_params",
    "tags": "unitrack_tags",
    "description": "unitrack_runs",
    "status": "unitrack_runs",
}
"""The tables of what can be queried. Files are in `unitrack_artifacts`, whatever their kind."""


@hookimpl
def register_backends() -> list[Backend]:
    """sql: a sink, a source, and what `unitrack doctor` looks at."""
    return [
        Backend(
            name="sql",
            summary="tables in a database: SQLite (sqlite:///runs.db) or PostgreSQL (postgresql://host/database)",
            sink="unitrack_sql.sink:SqlSink",
            options=SqlOptions,
            source="unitrack_sql.source:SqlSource",
            requires=("sqlalchemy", "psycopg"),
            install="unitrack-sql",
            rewinds=True,
            native=NATIVE,
            keeps_annotations=True,
            exact_floats=True,
            non_finite="exact",
            kinds_in_order=False,  # each kind has tables of its own
            lanes_at_once=LANES_AT_ONCE,
            confirms="flush",
            check="unitrack_sql.check:check",
        )
    ]
