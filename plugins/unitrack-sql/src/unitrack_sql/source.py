"""The source: the runs of a database as records."""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import sqlalchemy.exc
from sqlalchemy import Connection, Row, Select, select

from unitrack.errors import SinkError, SourceError
from unitrack.hookspecs import Columns, Condition, MetricSummary, RunSummary, Source
from unitrack.names import leads_out
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart
from unitrack_sql.addresses import Address
from unitrack_sql.contents import bring_content
from unitrack_sql.engines import make_engine
from unitrack_sql.errors import describe
from unitrack_sql.facts import flat, nested
from unitrack_sql.migrations import MIGRATIONS, require_known, version_of
from unitrack_sql.names import restored, stored
from unitrack_sql.points import columns_of_rows
from unitrack_sql.schema import ARTIFACTS, BLOBS, FILES, METRICS, PARAMS, POINTS, RUNS, TAGS
from unitrack_sql.searching import filtered
from unitrack_sql.summaries import summary_of_row

_TIMEOUT_S = 10
_RUNS_AT_ONCE = 500
"""Runs whose params, tags, metrics and artifacts are asked for together."""
_ROWS_AT_ONCE = 10_000
_SCHEME = "sql:"
_BEGIN = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


class SqlSource(Source):
    """A database, by its URL or by the path of an SQLite file. A run's id is the one that unitrack gave it."""

    def __init__(self, location: str) -> None:
        try:
            address = Address.parse(location)
        except ValueError as error:
            raise SourceError(str(error)) from error
        if address.path is not None and not address.path.is_file():
            raise FileNotFoundError(f"there is no file {address.path}: give the database of an `sql` sink")
        self._name = address.url
        self._engine = make_engine(address, _TIMEOUT_S, reads_only=True)
        weakref.finalize(self, self._engine.dispose)
        with self._connection() as connection:
            found = version_of(connection)
        if not found:
            raise FileNotFoundError(f"{self._name} holds no runs: give the database of an `sql` sink")
        try:
            require_known(found, self._name, len(MIGRATIONS))
        except SinkError as error:
            raise SourceError(str(error)) from error
        if found < len(MIGRATIONS):
            raise SourceError(
                f"{self._name} has version {found} of the schema, that of an older unitrack-sql, and reading does not "
                "change it: log a run to it, which brings it up to date"
            )

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs in the order in which they started."""
        with self._connection() as connection:
            for chunk in self._chunks(connection, ()):
                tags = _by_run(connection, _tags_of(chunk))
                yield from (_start(row, tags.get(row.key, ())) for row in chunk)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of one run, its points in the order of logging. Raises `KeyError` for an unknown id."""
        with self._connection() as connection:
            parts = self._records(connection, self._find(connection, run_id))
            for seq, record in enumerate(parts):
                yield msgspec.structs.replace(record, seq=seq)

    def summary(self, run_id: str) -> RunSummary:
        """Return the whole summary of a run, from its rows alone. Raises `KeyError` for an unknown id."""
        with self._connection() as connection:
            [(_, summary)] = self._summaries(connection, [self._find(connection, run_id)])
            return summary

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield runs with their whole summaries; the database searches those that the conditions may mean."""
        with self._connection() as connection:
            for chunk in self._chunks(connection, conditions):
                yield from self._summaries(connection, chunk)

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Yield the points of these metrics. Raises `KeyError` for an unknown id."""
        with self._connection() as connection:
            run = self._find(connection, run_id)
            for seq, record in enumerate(_metrics(connection, run, metrics)):
                yield msgspec.structs.replace(record, seq=seq)

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return the points by metric; no record is made of them. Raises `KeyError` for an unknown id."""
        with self._connection() as connection:
            run = self._find(connection, run_id)
            found = {}
            for row in connection.execute(_metrics_of([run])).all():
                name = restored(row.name)
                if metrics is None or name in metrics:
                    points = (
                        select(POINTS.c.step, POINTS.c.value, POINTS.c.time)
                        .where(*_of_run(run), POINTS.c.metric == row.metric)
                        .order_by(POINTS.c.number)
                    )
                    found[name] = columns_of_rows(connection.execute(points).all())
            return found

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Write an artifact that `records` named into `folder`, check its content, and return where it lies."""
        key = int(artifact.file.removeprefix(_SCHEME))
        with self._connection() as connection:
            row = connection.execute(select(ARTIFACTS).where(ARTIFACTS.c.key == key)).one_or_none()
            if row is None:
                raise FileNotFoundError(f"artifact {artifact.name!r} was replaced or deleted since it was listed")
            files = connection.execute(
                select(FILES.c.path, FILES.c.digest, BLOBS.c.size)
                .join_from(FILES, BLOBS, FILES.c.digest == BLOBS.c.digest)
                .where(FILES.c.artifact_key == key)
                .order_by(FILES.c.number)
            ).all()
            target = folder / (PurePosixPath(artifact.name).name or "artifact")
            if row.folder:
                target.mkdir(exist_ok=True)
            for file in files:
                inside = restored(file.path)
                if inside and leads_out(inside):
                    raise SourceError(f"the artifact {artifact.name!r} holds a file that leads out of it: {inside!r}")
                place = target / inside if inside else target
                place.parent.mkdir(parents=True, exist_ok=True)
                bring_content(connection, file.digest, file.size, place)
        return target

    # -- what the methods share ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Connect, and read all as it is at one moment.

        Raises errors of the database as a `SourceError` that names it, without its password.
        """
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(_BEGIN[connection.dialect.name])
                try:
                    yield connection
                finally:
                    connection.exec_driver_sql("ROLLBACK")
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise SourceError(f"can't read {self._name}: {describe(error)}") from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("psycopg", "sqlite3"):
                raise SourceError(f"can't read {self._name}: {describe(error)}") from error
            raise

    def _chunks(self, connection: Connection, conditions: Sequence[Condition]) -> Iterator[Sequence[Row[Any]]]:
        chosen = filtered(select(RUNS.c.key), conditions).order_by(RUNS.c.started, RUNS.c.key)
        keys = connection.execute(chosen).scalars().all()
        for first in range(0, len(keys), _RUNS_AT_ONCE):
            those = keys[first : first + _RUNS_AT_ONCE]
            runs = select(RUNS).where(RUNS.c.key.in_(those)).order_by(RUNS.c.started, RUNS.c.key)
            yield connection.execute(runs).all()

    def _find(self, connection: Connection, run_id: str) -> Row[Any]:
        for column in (RUNS.c.id, RUNS.c.unitrack_id):
            found = connection.execute(select(RUNS).where(column == stored(run_id)).order_by(RUNS.c.key)).first()
            if found is not None:
                return found
        raise KeyError(run_id)

    def _records(self, connection: Connection, run: Row[Any]) -> Iterator[AnyRecord]:
        tags = connection.execute(_tags_of([run])).all()
        yield _start(run, tags)
        for params in nested(connection.execute(_params_of([run])).all()):
            yield Params(seq=0, time=run.started, params=params)
        yield from _metrics(connection, run)
        yield from map(_artifact, connection.execute(_artifacts_of([run])).all())
        if run.status != "running":
            yield RunEnd(seq=0, time=run.ended, status=run.status)

    def _summaries(self, connection: Connection, runs: Sequence[Row[Any]]) -> Iterator[tuple[RunStart, RunSummary]]:
        tags, params = _by_run(connection, _tags_of(runs)), _by_run(connection, _params_of(runs))
        metrics, artifacts = _by_run(connection, _metrics_of(runs)), _by_run(connection, _artifacts_of(runs))
        for run in runs:
            start = _start(run, tags.get(run.key, ()))
            known: dict[str, MetricSummary] = {
                restored(row.name): summary_of_row(row) for row in metrics.get(run.key, ())
            }
            yield (
                start,
                RunSummary(
                    params=flat(params.get(run.key, ())),
                    tags=start.tags,
                    last={name: metric.last for name, metric in known.items() if metric.last is not None},
                    status=run.status,
                    ended=run.ended,
                    metrics=known,
                    artifacts={one.name: one for one in map(_artifact, artifacts.get(run.key, ()))},
                ),
            )


def _by_run(connection: Connection, rows: Select[Any]) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(rows):
        found.setdefault(row.run_key, []).append(row)
    return found


def _of_runs(table: Any, runs: Sequence[Row[Any]]) -> Any:
    return table.c.run_key.in_([run.key for run in runs])


def _tags_of(runs: Sequence[Row[Any]]) -> Select[Any]:
    return select(TAGS.c.run_key, TAGS.c.name, TAGS.c.value).where(_of_runs(TAGS, runs)).order_by(TAGS.c.position)


def _params_of(runs: Sequence[Row[Any]]) -> Select[Any]:
    columns = PARAMS.c.run_key, PARAMS.c.name, PARAMS.c.path, PARAMS.c.value
    return select(*columns).where(_of_runs(PARAMS, runs)).order_by(PARAMS.c.position, PARAMS.c.name)


def _metrics_of(runs: Sequence[Row[Any]]) -> Select[Any]:
    return select(METRICS).where(_of_runs(METRICS, runs), METRICS.c.points > 0).order_by(METRICS.c.metric)


def _artifacts_of(runs: Sequence[Row[Any]]) -> Select[Any]:
    """The newest artifact of each name: of one that is being replaced there are two rows for a moment."""
    newer = ARTIFACTS.alias()
    is_replaced = (
        select(newer.c.key)
        .where(
            newer.c.run_key == ARTIFACTS.c.run_key, newer.c.digest == ARTIFACTS.c.digest, newer.c.key > ARTIFACTS.c.key
        )
        .exists()
    )
    return select(ARTIFACTS).where(_of_runs(ARTIFACTS, runs), ~is_replaced).order_by(ARTIFACTS.c.key)


def _of_run(run: Row[Any]) -> tuple[Any, ...]:
    return POINTS.c.run_key == run.key, POINTS.c.withdrawn.is_(None)


def _metrics(connection: Connection, run: Row[Any], wanted: Collection[str] | None = None) -> Iterator[Metrics]:
    """Yield points in the order of logging; those of one call make one record again."""
    names = {row.metric: restored(row.name) for row in connection.execute(_metrics_of([run])).all()}
    if wanted is not None:
        names = {metric: name for metric, name in names.items() if name in wanted}
        if not names:
            return
    points = select(POINTS.c.metric, POINTS.c.step, POINTS.c.value, POINTS.c.time).where(*_of_run(run))
    if wanted is not None:
        points = points.where(POINTS.c.metric.in_(names))
    rows = connection.execute(points.order_by(POINTS.c.number), execution_options={"yield_per": _ROWS_AT_ONCE})
    nan = float("nan")
    at: tuple[int, int] = (0, 0)
    values: dict[str, float] = {}
    for metric, step, value, time in itertools.chain.from_iterable(rows.partitions()):
        name = names.get(metric)
        if name is None:  # its first point came while these rows were read
            continue
        if values and ((step, time) != at or name in values):
            yield Metrics(seq=0, time=at[1], step=at[0], metrics={}).with_values(values)
            values = {}
        at = (step, time)
        values[name] = nan if value is None else value
    if values:
        yield Metrics(seq=0, time=at[1], step=at[0], metrics={}).with_values(values)


def _start(run: Row[Any], tags: Sequence[Row[Any]]) -> RunStart:
    return RunStart(
        seq=0,
        time=run.started,
        run_id=restored(run.id),
        name=restored(run.name),
        project=restored(run.project),
        description=restored(run.description),
        tags={restored(row.name): restored(row.value) for row in tags},
        unitrack_id=restored(run.unitrack_id),
    )


def _artifact(row: Row[Any]) -> Artifact:
    return Artifact(
        seq=0,
        time=row.time,
        name=restored(row.name),
        file=f"{_SCHEME}{row.key}",
        type=row.type,
        size=row.size,
        step=row.step,
        annotations=msgspec.json.decode(row.annotations),
    )
