"""A lock that agents on all machines share, held in the database of their study.

The database frees it when the connection of its holder breaks, so an agent that dies holds up nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

from unitrack.errors import ConfigError

_STATEMENTS = {
    "postgresql": ("SELECT pg_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"),
    "mysql": ("SELECT GET_LOCK(CAST(:key AS CHAR), -1)", "SELECT RELEASE_LOCK(CAST(:key AS CHAR))"),
}
"""How a lock is taken and freed; a database in a file has none, and is for one machine."""


@contextlib.contextmanager
def new_tables(url: str) -> Iterator[None]:
    """Keep other agents from creating the tables of studies at the same time, which fails for all but one of them."""
    import sqlalchemy  # noqa: PLC0415  # as below

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    try:
        with held_in_database(engine, ""):
            yield
    finally:
        engine.dispose()


@contextlib.contextmanager
def held_in_database(engine: Any, name: str) -> Iterator[None]:
    """Hold the lock of the study `name`, waiting for it; `engine`: SQLAlchemy's. Raises `ConfigError` if it is down."""
    if engine.dialect.name not in _STATEMENTS:
        yield
        return
    from sqlalchemy import exc, text  # noqa: PLC0415  # it comes with Optuna, which only sweeps need

    take, free = map(text, _STATEMENTS[engine.dialect.name])
    key = {"key": int.from_bytes(hashlib.sha256(f"unitrack {name}".encode()).digest()[:8], signed=True)}
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
            connection.execute(take, key)
        except exc.OperationalError as error:
            raise ConfigError(f"storage: the database of sweep {name!r} does not answer: {error.orig}") from error
        try:
            yield
        finally:
            with contextlib.suppress(exc.SQLAlchemyError):  # the connection broke, and so the lock is free
                connection.execute(free, key)
