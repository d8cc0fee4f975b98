"""The source of the backend `neptune-export`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from unitrack.hookspecs import Condition, RunSummary, Source
from unitrack.names import leads_out
from unitrack.records import AnyRecord, Artifact, ArtifactType, Metrics, Params, RunEnd, RunStart
from unitrack.sources.neptune_export.identity import Identity, identity_of, value_of
from unitrack.sources.neptune_export.layout import RunFiles, find_runs
from unitrack.sources.neptune_export.steps import AXIS, MILLIONTHS, Axis
from unitrack.sources.neptune_export.tables import Tables
from unitrack.system.files import is_inside

_TEXT, _HISTOGRAM = "string_series:", "histogram_series:"
"""`Artifact.file` of what is made when it is fetched: one with the attribute, one with the place among the run's."""


class _Run(msgspec.Struct, frozen=True):
    files: RunFiles
    identity: Identity
    axis: Axis


class NeptuneExportSource(Source):
    """The runs that neptune-exporter has saved; `location` is the folder with `data` and `files`, or `data` itself.

    A run's id is its `run_id` in the files. Params are the attributes with one value, by their paths; Neptune's own,
    in `sys/`, give name, description, tags, start, end and status, or are tags. Series of floats are metrics, files
    artifacts, and so are histograms and series of texts, these as JSON lines.
    """

    def __init__(self, location: str) -> None:
        root = Path(location).expanduser().absolute()
        self._unread = list(find_runs(root))
        self._tables = Tables()
        self._known: dict[str, _Run] = {}

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs, by project and name. An id that a run of another project has is preceded by the project."""
        self._read_all()
        yield from (run.identity.start for run in self._known.values())

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of a run. Raises `KeyError`."""
        return self._records(self._find(run_id))

    def summary(self, run_id: str) -> RunSummary:
        """Return a run with the last value of each metric. Raises `KeyError`."""
        return self._summary(self._find(run_id))

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary."""
        for start in self.runs():
            yield start, self.summary(start.run_id)

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Yield the points of some metrics. Raises `KeyError`."""
        return self._points_of(self._find(run_id), frozenset(metrics))

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Write a histogram, or a series of texts, into `folder`. Raises `FileNotFoundError` for a file."""
        parts = self._find(run_id).files.parts
        target = folder / "content"
        if artifact.file.startswith(_TEXT):
            with target.open("wb") as file:
                for step, time, value in self._tables.text(parts, artifact.file.removeprefix(_TEXT)):
                    file.write(msgspec.json.encode({"step": step, "time": time, "value": value}) + b"\n")
            return target
        number = artifact.file.removeprefix(_HISTOGRAM)
        if number == artifact.file or not number.isdecimal():
            raise FileNotFoundError(f"{artifact.file} is not in the folder of files of the export")
        counts, edges = self._tables.histogram(parts, int(number)) or ([], [])
        target.write_bytes(msgspec.json.encode({"counts": counts, "edges": edges}))
        return target

    # -- runs ---------------------------------------------------------------------------------------------------------

    def _read_all(self) -> None:
        for files in self._unread:
            run = self._read(files)
            start = run.identity.start
            if start.run_id in self._known:
                renamed = msgspec.structs.replace(start, run_id=f"{start.project}/{start.run_id}")
                run = msgspec.structs.replace(run, identity=msgspec.structs.replace(run.identity, start=renamed))
            self._known[run.identity.start.run_id] = run
        self._unread = []

    def _read(self, files: RunFiles) -> _Run:
        project_id, run_id = self._tables.identity(files.parts)
        scalars = {row[2]: value_of(row[3], row[4:]) for row in self._tables.scalars(files.parts)}
        identity = identity_of(
            project_id, run_id, {name: value for name, value in scalars.items() if value is not None}
        )
        odd = self._tables.odd_metrics(files.parts)
        axis = Axis(odd, self._tables.steps(files.parts, odd) if odd else ())
        if odd:
            tags = {**axis.tags, **identity.start.tags}
            start = msgspec.structs.replace(identity.start, tags=tags)
            identity = msgspec.structs.replace(identity, start=start)
        if identity.ended is None and identity.status != "running":
            ended = self._tables.last_time(files.parts) or identity.start.time
            identity = msgspec.structs.replace(identity, ended=ended)
        return _Run(files, identity, axis)

    def _find(self, run_id: str) -> _Run:
        self._read_all()
        if run_id not in self._known:
            by_own_id = {run.identity.start.unitrack_id: run for run in self._known.values()}
            by_own_id.pop("", None)
            return by_own_id[run_id]
        return self._known[run_id]

    def _summary(self, run: _Run) -> RunSummary:
        if run.axis.metrics:
            return msgspec.structs.replace(RunSummary.of(self._records(run)), artifacts=None)
        identity = run.identity
        return RunSummary(
            params=identity.params,
            tags=identity.start.tags,
            last=dict(self._tables.last(run.files.parts)),
            status=identity.status,
            ended=identity.ended,
        )

    # -- records ------------------------------------------------------------------------------------------------------

    def _records(self, run: _Run) -> Iterator[AnyRecord]:
        identity = run.identity
        start = identity.start
        yield start
        if identity.params:
            yield Params(seq=0, time=start.time, params=dict(identity.params))
        yield from self._points_of(run)
        yield from self._artifacts(run)
        if identity.ended is not None and identity.status != "running":
            yield RunEnd(seq=0, time=identity.ended, status=identity.status)

    def _points_of(self, run: _Run, metrics: frozenset[str] | None = None) -> Iterator[Metrics]:
        """Yield the points: neighbours with the same step and time together, as they were logged."""
        counts: dict[str, int] = {}
        step, time, values = 0, 0, dict[str, float]()
        wanted = None if metrics is None else metrics - {AXIS}
        for metric, millionths, its_time, value in self._tables.points(run.files.parts, wanted):
            if millionths is None:  # a series without steps: its points are numbered
                its_step = counts.get(metric, 0)
                counts[metric] = its_step + 1
            else:
                its_step = run.axis.place(metric, millionths)
            its_time = run.identity.start.time if its_time is None else its_time
            if values and (its_step != step or its_time != time or metric in values):
                yield _point(step, time, values)
                values = {}
            step, time = its_step, its_time
            values[metric] = value
        if values:
            yield _point(step, time, values)
        if run.axis.metrics and (metrics is None or AXIS in metrics):
            for place, exact in run.axis.points:
                yield _point(place, run.identity.start.time, {AXIS: exact})

    def _artifacts(self, run: _Run) -> Iterator[Artifact]:
        parts, start = run.files.parts, run.identity.start
        for attribute, kind, step, time, path in self._tables.files(parts):
            name = _series_name(attribute, step, path) if kind == "file_series" else attribute
            said = run.identity.artifacts.get(attribute, {})
            yield _file(run, _safe_name(name), path, _whole(step), start.time if time is None else time, said)
        for attribute in self._tables.texts(parts):
            name, file = _safe_name(f"{attribute}.jsonl"), _TEXT + attribute
            yield Artifact(seq=0, time=start.time, name=name, file=file, type="text")
        for number, (attribute, step, time) in enumerate(self._tables.histograms(parts)):
            yield Artifact(
                seq=0,
                time=start.time if time is None else time,
                name=_safe_name(f"{attribute}.json"),
                file=f"{_HISTOGRAM}{number}",
                type="histogram",
                step=_whole(step),
            )


def _point(step: int, time: int, values: dict[str, float]) -> Metrics:
    return Metrics(seq=0, time=time, step=step, metrics={}).with_values(values)


def _whole(step: int | None) -> int | None:
    """Return a step given in millionths, if it is one that unitrack has."""
    return step // MILLIONTHS if step is not None and step >= 0 and step % MILLIONTHS == 0 else None


def _series_name(attribute: str, step: int | None, path: str) -> str:
    """Return a name of its own for each file of a series, so that none replaces another."""
    if step is None:
        return f"{attribute}/{Path(path).name}"
    exact = str(step // MILLIONTHS) if step % MILLIONTHS == 0 else str(step / MILLIONTHS)
    return f"{attribute}/{exact}{Path(path).suffix}"


def _safe_name(name: str) -> str:
    """Return the name of an artifact, without what would lead out of the folder that it is copied to."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", "..")) if leads_out(name) else name


def _file(run: _Run, name: str, path: str, step: int | None, time: int, said: Any) -> Artifact:
    """Return an artifact; one whose file is not there, or lies elsewhere, keeps the path that the export names."""
    base = run.files.files
    file = base / path
    is_here = not leads_out(path) and file.exists() and is_inside(file, base)
    kind = said.get("type")
    size = sum(one.stat().st_size for one in file.rglob("*") if one.is_file()) if is_here and file.is_dir() else None
    return Artifact(
        seq=0,
        time=said["time"] if isinstance(said.get("time"), int) else time,
        name=name,
        file=str(file) if is_here else path,
        type=kind if kind in get_args(ArtifactType) else "folder" if is_here and file.is_dir() else "file",
        size=(file.stat().st_size if is_here else 0) if size is None else size,
        step=said["step"] if isinstance(said.get("step"), int) else step,
        annotations=said["annotations"] if isinstance(said.get("annotations"), dict) else {},
    )
