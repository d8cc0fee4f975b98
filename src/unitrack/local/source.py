"""The source of the local files: run folders of unitrack, and those of other programs in the same layout."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec

from unitrack.hookspecs import Columns, Condition, Link, RunSummary, Source, convert
from unitrack.limits import MAX_STEP, MIB
from unitrack.local.columns import LocalPoints
from unitrack.local.index import Entry, Index, Signature
from unitrack.local.pointers import fetch_content, pointer_path, read_pointer
from unitrack.local.points import read_points
from unitrack.names import leads_out
from unitrack.records import (
    MAX_TIME,
    AnyRecord,
    Artifact,
    ArtifactType,
    Metrics,
    Params,
    RunEnd,
    RunStart,
    RunStatus,
)
from unitrack.system.files import files_below, is_inside, open_regular, read_regular
from unitrack.values.plain import as_mapping, plain_text

METADATA, PARAMS, METRICS, ARTIFACTS = "metadata.json", "params.json", "metrics.jsonl", "artifacts"
_ENDS: dict[str, RunStatus] = {
    "completed": "finished",
    "finished": "finished",
    "failed": "failed",
    "killed": "killed",
    "pruned": "pruned",
}
_LEDGER = ".ledger.json"
_LEAST_IN_COLUMNS = 16 * 1024
"""Bytes of `metrics.jsonl`: fewer are read record by record, in two thirds of the time."""
_MOST_IN_COLUMNS = 512 * MIB
"""Bytes of points that are summed up in columns, in memory; more are read one by one."""
_LONGEST_TIME = 40
"""Characters: more is no time, and not worth parsing."""


class RunHead(msgspec.Struct, frozen=True):
    """A run but its params and its points."""

    start: RunStart
    artifacts: tuple[Artifact, ...]
    end: RunEnd | None


class LocalSource(Source):
    """The runs of a folder: `location` is a folder of run folders, or one run folder.

    A run's id is the one in its metadata. It is the name of its folder if its metadata has none, or if a folder before
    it has the same.
    """

    def __init__(self, location: str) -> None:
        self._root = Path(location).expanduser().absolute()
        self._known: dict[str, Path] = {}

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs of the folders that hold a `metadata.json`, in the order of their names."""
        seen: set[str] = set()
        for folder in self._folders():
            start = _start_of(folder)
            run_id = folder.name if start.run_id in seen else start.run_id
            seen.add(run_id)
            self._known[run_id] = folder
            yield msgspec.structs.replace(start, run_id=run_id)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of the run with this id or in a folder of this name. Raises `KeyError` if there is none."""
        return _records(self._find(run_id))

    def head(self, run_id: str) -> RunHead:
        """Return the run without its params and points; `metrics.jsonl` is not read. Raises `KeyError`."""
        folder = self._find(run_id)
        start = _start_of(folder)
        known = _mapping(_read_object(folder / METADATA).get("artifacts"))
        return RunHead(start, tuple(_read_artifacts(folder, known, start.time)), _end_of(folder, start.time))

    def summary(self, run_id: str) -> RunSummary:
        """Return the run without its points; its folder is not searched for artifacts. Raises `KeyError`."""
        return _summary_of(self._find(run_id))

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary, from the index of the folder where its files are as they were."""
        if (self._root / METADATA).exists():
            yield from super().summaries(conditions)
            return
        index, seen, names = Index(self._root), set[str](), set[str]()
        for path in self._paths():
            name = os.path.basename(path)
            signature = Signature.of(path, (METADATA, PARAMS, METRICS))
            entry = index.find(name, signature)
            if entry is None:
                entry = _entry_of(Path(path))
                index.add(name, signature, entry)
            start = entry.start
            run_id = name if start.run_id in seen else start.run_id
            seen.add(run_id)
            names.add(name)
            self._known[run_id] = Path(path)
            yield msgspec.structs.replace(start, run_id=run_id), entry.summary
        index.save(names)

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point by metric, of a run that has ended from the columnar copy. Raises `KeyError`."""
        return _points_of(self._find(run_id)).columns(metrics)

    def links(self, run_id: str) -> Mapping[str, Link]:
        """Return the links in the ledgers of a run folder of unitrack. Raises `KeyError`."""
        ledgers = {path: _read_object(path) for path in sorted((self._find(run_id) / ".unitrack").glob(f"*{_LEDGER}"))}
        links: dict[str, Link] = {}
        for path, ledger in ledgers.items():
            with contextlib.suppress(msgspec.ValidationError):  # no link yet, or no ledger of unitrack
                links[path.name.removesuffix(_LEDGER)] = convert(ledger.get("link"), Link)
        return links

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Bring an artifact from the store that its pointer names, checked by its SHA-256."""
        try:
            pointer = read_pointer(pointer_path(self._find(run_id) / ARTIFACTS, artifact.name))
        except FileNotFoundError:
            return super().fetch(run_id, artifact, folder)
        return fetch_content(pointer, folder / Path(artifact.name).name)

    def folder(self, run_id: str) -> Path:
        """Return the run folder. Raises `KeyError`."""
        return self._find(run_id)

    def _folders(self) -> Iterator[Path]:
        if (self._root / METADATA).exists():
            yield self._root
        else:
            yield from map(Path, self._paths())

    def _paths(self) -> list[str]:
        """Return the folders below the root that hold a `metadata.json`, in the order of their names."""
        try:
            with os.scandir(self._root) as found:
                paths = [one.path for one in found]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [path for path in sorted(paths) if os.path.exists(f"{path}/{METADATA}")]

    def _find(self, run_id: str) -> Path:
        if run_id not in self._known:
            by_name = {folder.name: folder for folder in self._folders()}
            by_id = {start.run_id: self._known[start.run_id] for start in self.runs()}
            self._known = by_name | by_id
        return self._known[run_id]


def _entry_of(folder: Path) -> Entry:
    return Entry(_start_of(folder), _summary_of(folder))


def _summary_of(folder: Path) -> RunSummary:
    if not _LEAST_IN_COLUMNS < _size(folder / METRICS) <= _MOST_IN_COLUMNS:
        summary = RunSummary.of(_records(folder, with_artifacts=False))
        return msgspec.structs.replace(summary, artifacts=None)
    points = _points_of(folder).summary()
    last = {name: one.last for name, one in points.metrics.items() if one.last is not None}
    summary = RunSummary.of(_frame(folder, points.last_time))
    return msgspec.structs.replace(summary, metrics=points.metrics, last=last, artifacts=None)


def _points_of(folder: Path) -> LocalPoints:
    return LocalPoints(folder / METRICS, _start_of(folder).time, ended=_end_of(folder, 0) is not None)


def _frame(folder: Path, last_time: int) -> Iterator[AnyRecord]:
    """Yield the records of a run but its points and artifacts; `last_time` is that of its last point."""
    start = _start_of(folder)
    yield start
    if params := _plain(_read_object(folder / PARAMS)):
        yield Params(seq=0, time=start.time, params=params)
    end = _end_of(folder, max(start.time, last_time))
    if end is not None:
        yield end


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _records(folder: Path, *, with_artifacts: bool = True) -> Iterator[AnyRecord]:
    start = _start_of(folder)
    yield start
    if params := _plain(_read_object(folder / PARAMS)):
        yield Params(seq=0, time=start.time, params=params)
    last_time = start.time
    for record in _read_metrics(folder / METRICS, start.time):
        last_time = max(last_time, record.time)
        yield record
    if with_artifacts:
        yield from _read_artifacts(folder, _mapping(_read_object(folder / METADATA).get("artifacts")), last_time)
    end = _end_of(folder, last_time)
    if end is not None:
        yield end


def _end_of(folder: Path, last_time: int) -> RunEnd | None:
    metadata = _read_object(folder / METADATA)
    status = metadata.get("status")
    ended = _ENDS.get(status) if isinstance(status, str) else None
    if ended is None:
        return None
    time = _integer(metadata.get("end_time_ms"), 0, MAX_TIME) or _milliseconds(metadata.get("end_time"), last_time)
    return RunEnd(seq=0, time=time, status=ended)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Return params as every backend takes them: Python's JSON reads broken Unicode, which it can't write."""
    try:
        return as_mapping(params)
    except RecursionError:
        return {}


def _integer(value: object, otherwise: int, most: int = MAX_STEP) -> int:
    """Return a number as unitrack writes it, or `otherwise`: another program may have written anything in its place."""
    return value if type(value) is int and 0 <= value <= most else otherwise


def _read_object(path: Path) -> dict[str, Any]:
    """Read a file as `read_json` does; an empty object if that fails, so that one bad folder hides no other."""
    try:
        return read_json(path)
    except OSError:
        return {}


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if the file is missing or being written. Raises `OSError`."""
    try:
        return decode_object(read_regular(path))
    except FileNotFoundError:
        return {}


def decode_object(data: bytes) -> dict[str, Any]:
    """Return an object from its JSON; an empty one for anything else."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _start_of(folder: Path) -> RunStart:
    metadata = _read_object(folder / METADATA)
    started = _integer(metadata.get("start_time_ms"), 0, MAX_TIME)
    return RunStart(
        seq=0,
        time=started or _milliseconds(metadata.get("start_time"), 0),
        run_id=plain_text(metadata.get("run_id", folder.name)),
        name=plain_text(metadata.get("run_name", folder.name)),
        project=plain_text(metadata.get("project", "")),
        description=plain_text(metadata.get("description", "")),
        tags={plain_text(name): plain_text(value) for name, value in _mapping(metadata.get("tags")).items()},
    )


def _milliseconds(text: object, otherwise: int) -> int:
    """Return a time of metadata.json, a local time to the second or better, in milliseconds since the epoch."""
    for parse in (lambda value: datetime.strptime(value, "%Y%m%d_%H%M%S"), datetime.fromisoformat):
        try:
            return int(parse(str(text)[:_LONGEST_TIME]).timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            continue
    return otherwise


def _read_metrics(path: Path, start_time: int) -> Iterator[Metrics]:
    try:
        file = open_regular(path)
    except OSError:
        return
    with file:
        yield from read_points(file, start_time)


def _read_artifacts(folder: Path, known: dict[str, Any], time: int) -> Iterator[Artifact]:
    """Yield the artifacts that the metadata names, and other files beside them, but none that leads out of the run."""
    base = folder / ARTIFACTS
    known = {name: _mapping(entry) for name, entry in known.items() if _is_there(base, name, _mapping(entry))}
    for name, entry in known.items():
        kind = entry.get("type", "file")
        yield Artifact(
            seq=_integer(entry.get("seq"), 0),
            time=_integer(entry.get("time"), time, MAX_TIME),
            name=name,
            file=_stored_at(entry) or str(base / name),
            type=kind if kind in get_args(ArtifactType) else "file",
            size=_integer(entry.get("size"), 0),
            step=None if entry.get("step") is None else _integer(entry["step"], 0),
            annotations=_mapping(entry.get("annotations")),
        )
    known_paths = {pointer_path(base, name) if _stored_at(entry) else base / name for name, entry in known.items()}
    for path in sorted(files_below(base)):
        if known_paths.isdisjoint((path, *path.parents)) and _stays_inside(path, base):
            name, size = plain_text(path.relative_to(base).as_posix()), _regular_size(path)
            if size is not None:
                yield Artifact(seq=0, time=time, name=name, file=str(path), size=size)


def _regular_size(path: Path) -> int | None:
    """Return the bytes of a regular file; None for anything else, and for what a run at work has just replaced."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_size if stat.S_ISREG(status.st_mode) else None
    return None


def _stored_at(entry: dict[str, Any]) -> str:
    """Return the URL of an artifact that is stored elsewhere; "" for one that is in the run folder."""
    location, digest = entry.get("location"), entry.get("digest")
    if not isinstance(location, str) or not isinstance(digest, str):
        return ""
    where = Path(location).as_uri() if location.startswith("/") else location  # a URL: it is checked when it is fetched
    return f"{where}/sha256/{digest[:2]}/{digest}"


def _is_there(base: Path, name: str, entry: dict[str, Any]) -> bool:
    return _stays_inside(pointer_path(base, name) if _stored_at(entry) else base / name, base)


def _stays_inside(path: Path, base: Path) -> bool:
    """Return whether an artifact exists below `base`: neither its name nor a link leads out."""
    try:
        return not leads_out(str(path.relative_to(base))) and path.exists() and is_inside(path, base)
    except (OSError, ValueError):  # a name that no file can have, or an absolute one
        return False
