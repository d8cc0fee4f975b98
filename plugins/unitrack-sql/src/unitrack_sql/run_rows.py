"""The row of a run, and the tags that it started with."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from unitrack.records import RunStart, RunStatus
from unitrack_sql.names import stored
from unitrack_sql.store import Fence, Store


class Entered(NamedTuple):
    """A run in the database, opened by this sink."""

    id: str
    fence: Fence


_FIND = text("SELECT key, id FROM unitrack_runs WHERE unitrack_id = :unitrack_id AND sink = :sink")
_MAKE = text(
    "INSERT INTO unitrack_runs (id, unitrack_id, sink, name, project, description, status, started, opened) "
    "VALUES (:id, :unitrack_id, :sink, :name, :project, :description, 'running', :started, 0) ON CONFLICT DO NOTHING"
)
_OPEN = text(
    "UPDATE unitrack_runs SET opened = opened + 1, name = :name, description = :description, status = 'running', "
    "ended = NULL WHERE key = :key RETURNING opened"
)
_END = text("UPDATE unitrack_runs SET status = :status, ended = :ended WHERE key = :key AND opened = :opened")


def enter(store: Store, start: RunStart, sink: str) -> Entered:
    """Return the row of a run, which is made if it is missing. A sink that had it open before can't write any more.

    Its id is the one that unitrack gave it. A second sink of one run in the same database gets one with its name.
    """
    values = {
        "unitrack_id": stored(start.run_id),
        "sink": stored(sink),
        "name": stored(start.name),
        "project": stored(start.project),
        "description": stored(start.description),
        "started": start.time,
    }
    for run_id in (values["unitrack_id"], f"{values['unitrack_id']}:{values['sink']}"):
        found = store.ask(lambda connection: connection.execute(_FIND, values).one_or_none())
        if found is None:
            made = {**values, "id": run_id}
            store.ask(partial(_make, made))
    if found is None:
        found = store.ask(lambda connection: connection.execute(_FIND, values).one())
    key = found.key
    opened = store.ask(lambda connection: connection.execute(_OPEN, {**values, "key": key}).scalar_one())
    return Entered(found.id, Fence(key, opened))


def _make(values: dict[str, Any], connection: Connection) -> None:
    connection.execute(_MAKE, values)


def end(store: Store, fence: Fence, status: RunStatus, time: int) -> None:
    """Note how and when a run ended."""
    values = {"status": status, "ended": time, "key": fence.run_key, "opened": fence.opened}

    def note(connection: Connection) -> None:
        connection.execute(_END, values)

    store.write(note)
