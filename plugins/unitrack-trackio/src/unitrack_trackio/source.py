"""The source: the runs of trackio's local projects as records, those that unitrack did not write included."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import SourceError
from unitrack.hookspecs import Columns, Condition, RunSummary, Source
from unitrack.names import leads_out
from unitrack.records import AnyRecord, Artifact, ArtifactType, Metrics, Params, RunEnd, RunStart, Tags
from unitrack_trackio.database import ArtifactVersion, Database, TrackioRun
from unitrack_trackio.names import RECORD, artifact_name, file_name, member_of, name_of
from unitrack_trackio.points import MetricsFold, columns_of_rows, milliseconds, points_of, time_of_row
from unitrack_trackio.stored_files import copy_files

_TYPES: dict[str, ArtifactType] = {"model": "model", "table": "table"}
"""trackio's types are free text; these two mean the same in unitrack."""


class TrackioSource(Source):
    """The projects in a folder: what TRACKIO_DIR names. A run's id is `<project>/<trackio's id>`."""

    def __init__(self, location: str) -> None:
        self._folder = Path(location).expanduser()
        if not self._folder.is_dir():
            raise FileNotFoundError(f"there is no folder {self._folder}: give what TRACKIO_DIR names")

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs of all projects."""
        for database in self._databases():
            with _naming(database):
                for run in database.runs():
                    yield _start(database, run)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Return the records of one run, by its id here or by that in unitrack. Raises `KeyError` if there is no such
        run.
        """
        database, run = self._find(run_id)
        return _records(database, run)

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield the runs of all projects with their whole summaries: each project's rows are read once."""
        for database in self._databases():
            with _naming(database):
                runs = list(database.runs())
                folds = {run.id: MetricsFold(is_ours=bool(_record(run))) for run in runs}
                for row in database.all_rows():
                    if row.run_id in folds:  # else the run began meanwhile
                        folds[row.run_id].add(row)
                versions: dict[str, list[ArtifactVersion]] = {}
                for version in database.artifacts():
                    versions.setdefault(version.run_id, []).append(version)
            for run in runs:
                others = (*_head(database, run), *_artifacts(database, run, versions.get(run.id, ())), *_end(run))
                metrics = folds[run.id].build()
                last = {name: metric.last for name, metric in metrics.items() if metric.last is not None}
                summary = msgspec.structs.replace(RunSummary.of(others), metrics=metrics, last=last)
                yield _start(database, run), summary

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Return the points of these metrics alone. Raises as `records` does."""
        database, run = self._find(run_id)
        return _metrics(database, run, frozenset(metrics))

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return the points by metric; no record is made of them. Raises as `records` does."""
        database, run = self._find(run_id)
        with _naming(database):
            return columns_of_rows(database.rows(run.id), metrics, is_ours=bool(_record(run)))

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Copy an artifact that `records` named into `folder`, and return where it lies then.

        Raises `FileNotFoundError` if its files are not on this machine.
        """
        project, spec, file = artifact.file.removeprefix("trackio:").split("/", 2)
        database, run = self._find(run_id)
        target = folder / spec.replace(":", "-")
        name, _, version = spec.rpartition(":v")
        with _naming(database):
            copy_files(Database(self._folder / f"{Path(project).name}.db"), name, int(version), target)
        names = _record(run).get("artifacts", {}).get(artifact.name, {}).get("names")
        if not file and names is not None:
            target = _with_original_names(target, names)
        return target / file

    def _databases(self) -> Iterator[Database]:
        return map(Database, sorted(self._folder.glob("*.db")))

    def _find(self, run_id: str) -> tuple[Database, TrackioRun]:
        project, _, own_id = run_id.partition("/")
        database = Database(self._folder / f"{Path(project).name}.db")
        with _naming(database):
            run = database.run(own_id)
        if run is not None:
            return database, run
        for database in self._databases():
            with _naming(database):
                for run in database.runs():
                    if _record(run).get("run_id") == run_id:
                        return database, run
        raise KeyError(run_id)


@contextmanager
def _naming(database: Database) -> Iterator[None]:
    """Raise SQLite's errors as a `SourceError` that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        mend = "wait for the program that writes it" if "locked" in str(error) else "restore the file, or remove it"
        raise SourceError(f"can't read {database.path}: {error}; {mend}") from error


def _with_original_names(folder: Path, names: dict[str, str]) -> Path:
    """Move the files of a folder to one where they have the names that they were logged with, and return that.

    `names` are the escaped names of those that were cut. In the same folder one name could be in the way of another.
    """
    restored = folder.with_name(f"{folder.name}-restored")
    restored.mkdir(exist_ok=True)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        path = file.relative_to(folder).as_posix()
        original = member_of(names.get(path, path))
        target = restored / (path if leads_out(original) else original)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    return restored


def _uri(project: str, name: str, entry: dict[str, Any]) -> str:
    """Return the URI by which `TrackioSource.fetch` finds an artifact: with the file in it, or for a folder without."""
    file = "" if entry["folder"] else file_name(name)
    return f"trackio:{project}/{artifact_name(name)}:{entry['version']}/{file}"


def _records(database: Database, run: TrackioRun) -> Iterator[AnyRecord]:
    with _naming(database):
        parts = (_head(database, run), _metrics(database, run), _artifacts(database, run), _end(run))
        for seq, record in enumerate(itertools.chain.from_iterable(parts)):
            yield msgspec.structs.replace(record, seq=seq)


def _head(database: Database, run: TrackioRun) -> Iterator[AnyRecord]:
    start = _start(database, run)
    is_ours = bool(_record(run))
    params = {
        name_of(key) if is_ours else key: value
        for key, value in run.config.items()
        if not key.startswith("_") and not (is_ours and key == RECORD)
    }
    yield start
    if params:
        yield Params(seq=0, time=start.time, params=params)
    if start.tags:
        yield Tags(seq=0, time=start.time, tags=start.tags)


def _metrics(database: Database, run: TrackioRun, wanted: Collection[str] | None = None) -> Iterator[Metrics]:
    is_ours = bool(_record(run))
    with _naming(database):
        for row in database.rows(run.id):
            points = points_of(row, is_ours=is_ours)
            if wanted is not None:
                points = {name: value for name, value in points.items() if name in wanted}
            if points:
                time = time_of_row(row, is_ours=is_ours)
                yield Metrics(seq=0, time=time, step=row.step, metrics={}).with_values(points)


def _artifacts(
    database: Database, run: TrackioRun, versions: Collection[ArtifactVersion] | None = None
) -> Iterator[Artifact]:
    """Yield the artifacts by the names that they were logged with. One of a plain run is a folder.

    `versions`: those that the run logged, if they are known.
    """
    record = _record(run)
    for name, entry in record.get("artifacts", {}).items():
        yield Artifact(
            seq=0,
            time=entry["time"],
            name=name,
            file=_uri(database.path.stem, name, entry),
            type=entry["type"],
            size=entry["size"],
            step=entry["step"],
            annotations=entry.get("annotations", {}),
        )
    if record:
        return
    for one in database.artifacts(run.id) if versions is None else versions:
        yield Artifact(
            seq=0,
            time=milliseconds(one.timestamp),
            name=one.name,
            file=f"trackio:{database.path.stem}/{one.name}:v{one.version}/",
            type=_TYPES.get(one.type, "folder"),
            size=one.size,
        )


def _end(run: TrackioRun) -> Iterator[RunEnd]:
    record = _record(run)
    if "status" in record:
        yield RunEnd(seq=0, time=record["ended"], status=record["status"])


def _record(run: TrackioRun) -> dict[str, Any]:
    """Return what unitrack keeps in the config; empty for runs that it did not write."""
    record = run.config.get(RECORD)
    return record if isinstance(record, dict) and "run_id" in record else {}


def _start(database: Database, run: TrackioRun) -> RunStart:
    record = _record(run)
    created = run.config.get("_Created")
    return RunStart(
        seq=0,
        time=record.get("time") or (milliseconds(created) if created else 0),
        run_id=f"{database.path.stem}/{run.id}",
        name=record.get("name", run.name),
        project=record.get("project", database.path.stem),
        description=record.get("description", ""),
        tags=record.get("tags", {}),
        unitrack_id=record.get("run_id", ""),
    )
