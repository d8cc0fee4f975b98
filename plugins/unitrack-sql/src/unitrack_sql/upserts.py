"""Writing many rows with one statement, so that writing them twice leaves what writing them once leaves."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from unitrack_sql.store import Fence, Work, lost

Columns = Mapping[str, Sequence[Any]]

_FLOATS = {"value", "last", "first", "mean", "min", "max"}
_TEXTS = {"digest", "name", "path"}


class Upsert:
    """An `INSERT ... ON CONFLICT` of many rows of one run into one table."""

    def __init__(
        self,
        table: str,
        keys: Sequence[str],
        values: Sequence[str],
        *,
        kept: Sequence[str] = (),
        types: Mapping[str, str] = {},
    ) -> None:
        """`keys`: the columns of the primary key after `run_key`. `values`: those that a later row replaces. `kept`:
        those that keep what the first row has. `types`: PostgreSQL's types of columns that have not the usual one.
        """
        self._table = table
        self._names = (*keys, *values, *kept)
        changed = ", ".join(f"{name} = excluded.{name}" for name in values)
        self._conflict = f"ON CONFLICT (run_key, {', '.join(keys)}) DO " + (
            f"UPDATE SET {changed}" if changed else "NOTHING"
        )
        self._types = {name: _type_of(name) for name in self._names} | dict(types)

    def of(self, columns: Columns, fence: Fence, *, is_postgresql: bool) -> Work:
        """Return the work of writing rows, given column by column. Raises for a run that was opened again since."""
        if not len(columns[self._names[0]]):
            return lambda connection: None
        if is_postgresql:
            return functools.partial(self._unnest, columns, fence)
        return functools.partial(self._one_by_one, columns, fence)

    def _one_by_one(self, columns: Columns, fence: Fence, connection: Connection) -> None:
        fence.require(connection)
        marks = ", ".join("?" for _ in self._names)
        connection.exec_driver_sql(
            f"INSERT INTO {self._table} (run_key, {', '.join(self._names)}) VALUES ({fence.run_key}, {marks}) "
            f"{self._conflict}",
            list(zip(*(columns[name] for name in self._names), strict=True)),
        )

    def _unnest(self, columns: Columns, fence: Fence, connection: Connection) -> None:
        arrays = ", ".join(f"%s::{self._types[name]}[]" for name in self._names)
        done = connection.exec_driver_sql(
            "WITH held AS (SELECT key FROM unitrack_runs WHERE key = %s AND opened = %s FOR SHARE) "
            f"INSERT INTO {self._table} (run_key, {', '.join(self._names)}) "
            f"SELECT held.key, rows.* FROM held, unnest({arrays}) AS rows {self._conflict}",
            (fence.run_key, fence.opened, *(self._array(name, columns[name]) for name in self._names)),
        )
        if not done.rowcount:
            raise_if_lost(connection, fence)

    def _array(self, name: str, values: Sequence[Any]) -> Any:
        """Return a column as PostgreSQL takes it. The literal of an array of numbers is made in a third of the time
        that the driver takes; `repr` gives the digits that make the same float64 again.
        """
        if self._types[name] == "text":
            return list(values)
        return "{" + ",".join(map(_number, values) if None in values else map(repr, values)) + "}"


def raise_if_lost(connection: Connection, fence: Fence) -> None:
    """Raise if the run was opened again since: a statement changed nothing, which has no other reason but conflicts."""
    now = connection.exec_driver_sql("SELECT opened FROM unitrack_runs WHERE key = %s", (fence.run_key,)).scalar()
    if now != fence.opened:
        raise lost()


def _type_of(name: str) -> str:
    if name in _TEXTS:
        return "text"
    return "double precision" if name in _FLOATS else "bigint"


def _number(value: Any) -> str:
    return "NULL" if value is None else repr(value)
