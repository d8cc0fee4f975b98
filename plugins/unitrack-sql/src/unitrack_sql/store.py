"""A database that runs are written to: one statement after the other, each repeated where it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import retry_in_place
from unitrack_sql.addresses import Address
from unitrack_sql.engines import Lease
from unitrack_sql.errors import translated
from unitrack_sql.migrations import MIGRATIONS, has_schema, migrate, newest_version, require_known

_Answer = TypeVar("_Answer")
Work = Callable[[Connection], Any]


class Store:
    """The database of one sink.

    On PostgreSQL each piece of work is a statement that commits by itself: one that was accepted is not repeated for
    the sake of the next. On SQLite, where a commit costs more than its statements and none fails by itself, all pieces
    are one transaction.
    """

    def __init__(self, address: Address, timeout: int) -> None:
        self.shareable = address.url
        self._lease = Lease(address, timeout)
        self._engine = self._lease.engine
        self.is_postgresql = self._engine.dialect.name == "postgresql"

    def migrate(self) -> None:
        """Bring the schema up to date. Raises `SinkMisconfiguredError` if it is newer than what is known here."""
        found = self.ask(newest_version) if self.ask(has_schema) else 0
        require_known(found, self.shareable, len(MIGRATIONS))
        if found == len(MIGRATIONS):
            return
        with translated(self.shareable):
            migrate(self._engine, self.shareable)

    def ask(self, work: Callable[[Connection], _Answer]) -> _Answer:
        """Do one piece of work, and return its answer. It must be safe to repeat."""
        return retry_in_place(lambda: self._once(work))

    def write(self, *pieces: Work) -> None:
        """Do pieces of work that are safe to repeat, in their order."""
        if self.is_postgresql:
            for piece in pieces:
                self.ask(piece)
        else:
            self.ask(lambda connection: [piece(connection) for piece in pieces])

    def _once(self, work: Callable[[Connection], _Answer]) -> _Answer:
        with translated(self.shareable), self._engine.connect() as connection:
            if self.is_postgresql:
                return work(connection)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                answer = work(connection)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            return answer

    def close(self) -> None:
        """Close the connections, if no other sink uses them."""
        self._lease.release()


class Fence:
    """The right to write to a run: the number of its last opening.

    A courier that was killed may have sent a statement that the server carries out after another courier has opened
    the run and rolled it back. Each statement asks for the number, and keeps an opening from passing it.
    """

    def __init__(self, run_key: int, opened: int) -> None:
        self.run_key = run_key
        self.opened = opened

    def require(self, connection: Connection) -> None:
        """Raise `SinkUnavailableError` if the run was opened again since. For SQLite, within a transaction."""
        now = connection.exec_driver_sql("SELECT opened FROM unitrack_runs WHERE key = ?", (self.run_key,)).scalar()
        if now != self.opened:
            raise lost()


def lost() -> SinkUnavailableError:
    """Return the error of a sink whose run another one has opened, or that was deleted."""
    return SinkUnavailableError("the run was opened by another process, or deleted from the database", reopen=True)
