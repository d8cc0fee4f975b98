"""Engines: one for each database in a process, with its pool of connections, as long as a sink or a source uses it."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event
from sqlalchemy.pool import QueuePool

from unitrack_sql.addresses import Address

_KEPT = 1
"""Connections that stay open while nobody needs them. The couriers of a thousand nodes are a thousand connections."""
_MORE = 63
"""Connections beyond that, closed after use. `Backend.lanes_at_once` allows fewer calls anyway."""

_lock = threading.Lock()
_engines: dict[tuple[Any, ...], tuple[Engine, int]] = {}
"""By process, address, password and timeout: the engine, and how many use it."""


class Lease:
    """The use of an engine that all sinks of a process share. The last one that is released closes the connections."""

    def __init__(self, address: Address, timeout: int) -> None:
        self._key = (os.getpid(), address.url, address.password, timeout)
        with _lock:
            engine, users = _engines.get(self._key) or (make_engine(address, timeout), 0)
            _engines[self._key] = (engine, users + 1)
        self.engine = engine
        self._is_held = True

    def release(self) -> None:
        """Give it back. Doing it again changes nothing."""
        with _lock:
            if not self._is_held:
                return
            self._is_held = False
            engine, users = _engines[self._key]
            if users > 1:
                _engines[self._key] = (engine, users - 1)
                return
            del _engines[self._key]
        engine.dispose()


def make_engine(address: Address, timeout: int, *, reads_only: bool = False) -> Engine:
    """Return a new engine. A statement outside of an explicit transaction is one by itself."""
    if address.path is not None:
        return _sqlite(address.path, timeout, reads_only=reads_only)
    return _postgresql(address, timeout, reads_only=reads_only)


def _sqlite(path: Path, timeout: int, *, reads_only: bool) -> Engine:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if reads_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        if not reads_only:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power loss
            connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
        return connection

    return _engine("sqlite://", connect)


def _postgresql(address: Address, timeout: int, *, reads_only: bool) -> Engine:
    import psycopg  # noqa: PLC0415  # 60 ms, and libpq, which SQLite does not need

    options: dict[str, Any] = {"application_name": "unitrack", "connect_timeout": timeout}
    if address.password is not None:
        options["password"] = address.password

    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            address.url,
            autocommit=True,
            prepare_threshold=None,  # a pooler before the server hands each transaction to another connection
            **options,
        )
        if reads_only:
            connection.execute("SET default_transaction_read_only = on")
        return connection

    return _engine("postgresql+psycopg://", connect)


def _engine(dialect: str, connect: Any) -> Engine:
    engine = sqlalchemy.create_engine(
        dialect,
        creator=connect,
        poolclass=QueuePool,
        pool_size=_KEPT,
        max_overflow=_MORE,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # an error is shown to people
    )
    event.listen(engine, "handle_error", _note_disconnect)
    return engine


def _note_disconnect(context: Any) -> None:
    """Drop a connection after which nothing is known, such as one that a server that shuts down has ended."""
    original = context.original_exception
    connection = getattr(context.connection, "connection", None) if context.connection is not None else None
    if type(original).__module__.partition(".")[0] == "psycopg" and getattr(connection, "closed", False):
        context.is_disconnect = True
