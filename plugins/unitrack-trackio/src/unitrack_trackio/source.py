"""The source: the runs of trackio's local projects as records, those that unitrack did not write included."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, Tags
from unitrack.safe_files import leads_out
from unitrack_trackio.database import Database, TrackioRun
from unitrack_trackio.naming import RECORD, artifact_name, file_name, member_of, name_of, time_of

_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class TrackioSource:
    """The projects in a folder: what TRACKIO_DIR names. A run's id is `<project>/<trackio's id>`."""

    def __init__(self, location: str) -> None:
        self._folder = Path(location).expanduser()
        if not self._folder.is_dir():
            raise FileNotFoundError(f"there is no folder {self._folder}: give what TRACKIO_DIR names")

    def runs(self) -> Iterator[RunStart]:
        """The runs of all projects."""
        for database, run in self._all():
            yield _start(database, run)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, by its id here or by that in unitrack. Raises `KeyError` if there is no such run."""
        return _records(*self._find(run_id))

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Copy an artifact that `records` named into `folder`; where it lies then.

        Through trackio, which notes that the run has used the artifact, and which looks in TRACKIO_DIR alone: raises
        `FileNotFoundError` if that is another folder.
        """
        import trackio

        from unitrack_trackio.session import with_run

        if Path(trackio.TRACKIO_DIR).absolute() != self._folder.absolute():
            raise FileNotFoundError(f"to fetch artifacts set TRACKIO_DIR to {self._folder.absolute()}")
        project, spec, file = artifact.file.removeprefix("trackio:").split("/", 2)
        _, stored = self._find(run_id)
        target = folder / spec.replace(":", "-")
        with_run(project, stored.name, {}, lambda run: run.use_artifact(spec).download(target))
        names = _record(stored).get("artifacts", {}).get(artifact.name, {}).get("names")
        if not file and names is not None:
            target = _with_original_names(target, names)
        return target / file

    def _all(self) -> Iterator[tuple[Database, TrackioRun]]:
        for path in sorted(self._folder.glob("*.db")):
            database = Database(path)
            yield from ((database, run) for run in database.runs())

    def _find(self, run_id: str) -> tuple[Database, TrackioRun]:
        project, _, own_id = run_id.partition("/")
        database = Database(self._folder / f"{Path(project).name}.db")
        for run in database.runs():
            if run.id == own_id:
                return database, run
        for database, run in self._all():
            if _record(run).get("run_id") == run_id:
                return database, run
        raise KeyError(run_id)


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
    """Where `TrackioSource.fetch` finds an artifact, and which file of it is meant: a folder is all of it."""
    file = "" if entry["folder"] else file_name(name)
    return f"trackio:{project}/{artifact_name(name)}:{entry['version']}/{file}"


def _records(database: Database, run: TrackioRun) -> Iterator[AnyRecord]:
    seq = itertools.count()
    record = _record(run)
    start = _start(database, run)
    time = start.time
    yield msgspec.structs.replace(start, seq=next(seq))
    params = {
        name_of(key) if record else key: value
        for key, value in run.config.items()
        if not key.startswith("_") and not (record and key == RECORD)
    }
    if params:
        yield Params(seq=next(seq), time=time, params=params)
    if start.tags:
        yield Tags(seq=next(seq), time=time, tags=start.tags)
    for row in database.rows(run.id):
        noted = row.values.pop(RECORD, None) if record else None
        time = time_of(noted) if noted else _milliseconds(row.timestamp)
        points = _points(row.values, ours=bool(record))
        if points:
            yield Metrics(seq=next(seq), time=time, step=row.step, metrics={}).with_values(points)
    for name, entry in record.get("artifacts", {}).items():
        yield Artifact(
            seq=next(seq),
            time=entry["time"],
            name=name,
            file=_uri(database.path.stem, name, entry),
            type=entry["type"],
            size=entry["size"],
            step=entry["step"],
            annotations=entry.get("annotations", {}),
        )
    if "status" in record:
        yield RunEnd(seq=next(seq), time=record["ended"], status=record["status"])


def _record(run: TrackioRun) -> dict[str, Any]:
    """What unitrack noted in the config; empty for others' runs."""
    record = run.config.get(RECORD)
    return record if isinstance(record, dict) and "run_id" in record else {}


def _start(database: Database, run: TrackioRun) -> RunStart:
    record = _record(run)
    created = run.config.get("_Created")
    return RunStart(
        seq=0,
        time=record.get("time") or (_milliseconds(created) if created else 0),
        run_id=f"{database.path.stem}/{run.id}",
        name=record.get("name", run.name),
        project=record.get("project", database.path.stem),
        description=record.get("description", ""),
        tags=record.get("tags", {}),
    )


def _points(values: dict[str, Any], ours: bool) -> dict[str, float]:
    points = {}
    for key, value in values.items():
        number = _SPECIAL.get(value, value) if isinstance(value, str) else value
        if isinstance(number, int | float) and not isinstance(number, bool):
            points[name_of(key) if ours else key] = float(number)
    return points


def _milliseconds(timestamp: str) -> int:
    time = datetime.fromisoformat(timestamp)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
