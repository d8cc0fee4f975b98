"""The sink: one run in the tables of a database.

Every row has a key that a redelivery has as well: points are numbered, params, tags and artifacts known by their names.
A checkpoint is the number of the next point; opening the run with it removes what came after.
"""

from __future__ import annotations

from unitrack.hookspecs import Checkpoint, Link, RunContext, hookimpl
from unitrack.records import Artifact, Metrics, Params, RunStatus, Tags
from unitrack_sql.artifacts import Artifacts
from unitrack_sql.facts import Facts
from unitrack_sql.options import SqlOptions
from unitrack_sql.points import Points
from unitrack_sql.run_rows import end, enter
from unitrack_sql.store import Fence, Store


class SqlSink:
    """Writes one run. See `unitrack.hookspecs.SinkSpec` for when each method is called."""

    def __init__(self, options: SqlOptions) -> None:
        self._options = options
        self._store: Store | None = None
        self._fence: Fence
        self._points: Points
        self._facts: Facts
        self._artifacts: Artifacts

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Make the tables and the run where they are missing, and go back to the checkpoint."""
        self.close()
        address = self._options.address()
        store = self._store = Store(address, self._options.timeout)
        store.migrate()
        entered = enter(store, run.start, run.sink_name)
        self._fence = entered.fence
        self._points = Points(store, entered.fence)
        self._points.go_back(checkpoint["next"] if checkpoint else 0)
        self._facts = Facts(store, entered.fence)
        self._facts.add_tags(run.start.tags, run.start.time)
        self._artifacts = Artifacts(store, entered.fence, run, self._options.max_artifact_size)
        return Link(id=entered.id, location=store.shareable, open_with=_command(address.path is not None, store))

    @hookimpl
    def can_rewind(self) -> bool:
        """Yes: a point that is superseded is marked, and no longer read."""
        return True

    @hookimpl
    def rewind(self, steps: dict[str, int]) -> None:
        """Withdraw the points of each metric from its step on."""
        self._points.rewind(steps)

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Write the last value of each param, by its dotted name."""
        self._facts.write_params(params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Write points."""
        self._points.add(metrics)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Write the last value of each tag."""
        self._facts.write_tags(tags)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Store files and folders, each file once."""
        for artifact in artifacts:
            self._artifacts.write(artifact)

    @hookimpl
    def flush(self) -> Checkpoint:
        """Return the number of the next point: everything was committed when the call that wrote it returned."""
        return {"next": self._points.next}

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Write status and end."""
        assert self._store is not None, "open_run comes first"
        end(self._store, self._fence, status, time)

    @hookimpl
    def close(self) -> None:
        """Close the connections that no other run of this process needs."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _command(is_file: bool, store: Store) -> str:
    return f"sqlite3 {store.shareable.removeprefix('sqlite:///')}" if is_file else f"psql '{store.shareable}'"
