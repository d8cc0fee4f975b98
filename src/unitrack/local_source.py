"""Reading the local backend's layout; see `unitrack.local`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec

from unitrack.hookspecs import RunSummary
from unitrack.limits import MAX_LINE_BYTES, MAX_STEP
from unitrack.params import as_mapping, plain_text
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
    flatten,
)
from unitrack.safe_files import is_inside, leads_out, open_regular, read_regular
from unitrack.validation import check_step


class _Line(msgspec.Struct):
    """A line of metrics as the local sink writes it, with finite values."""

    step: Annotated[int, msgspec.Meta(ge=0, le=MAX_STEP)]
    metrics: dict[str, float]
    seq: int
    time: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME)]


_decode_line = msgspec.json.Decoder(_Line).decode

METADATA, PARAMS, METRICS, ARTIFACTS = "metadata.json", "params.json", "metrics.jsonl", "artifacts"
_ENDS: dict[str, RunStatus] = {
    "completed": "finished",
    "finished": "finished",
    "failed": "failed",
    "killed": "killed",
    "pruned": "pruned",
}
_LONGEST_TIME = 40
"""Characters: more is no time, and not worth parsing."""


class LocalSource:
    """Reads run folders in the layout of `unitrack.local`, also those that another program wrote.

    `location` is a folder of run folders, or one run folder. A run's id is the one in its metadata; it is its folder's
    name where there is none, or a folder before it has the same.
    """

    def __init__(self, location: str) -> None:
        self._root = Path(location).expanduser().absolute()
        self._known: dict[str, Path] = {}

    def runs(self) -> Iterator[RunStart]:
        """The folders that hold a `metadata.json`, in the order of their names."""
        seen: set[str] = set()
        for folder in self._folders():
            start = _start_of(folder)
            run_id = folder.name if start.run_id in seen else start.run_id
            seen.add(run_id)
            self._known[run_id] = folder
            yield msgspec.structs.replace(start, run_id=run_id)

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """One run by its id or its folder's name: start, params, metrics line by line, artifacts, end.

        Raises `KeyError` if there is none.
        """
        return _records(self._find(run_id))

    def summary(self, run_id: str) -> RunSummary:
        """One run in short: its metrics' lines are read, its artifacts are not looked for. Raises `KeyError`."""
        folder = self._find(run_id)
        start = _start_of(folder)
        last: dict[str, float] = {}
        steps: dict[str, int] = {}
        last_time = start.time
        for record in _read_metrics(folder / METRICS, start.time):
            last_time = max(last_time, record.time)
            step = record.step
            for name, value in record.values().items():
                if step >= steps.get(name, step):
                    steps[name], last[name] = step, value
        end = _end_of(folder, last_time)
        return RunSummary(
            params=flatten(_plain(_read_object(folder / PARAMS))),
            tags=start.tags,
            last=last,
            status=end.status if end else "running",
            ended=end.time if end else None,
        )

    def folder(self, run_id: str) -> Path:
        """The run folder. Raises `KeyError`."""
        return self._find(run_id)

    def _folders(self) -> Iterator[Path]:
        if (self._root / METADATA).exists():
            yield self._root
        elif self._root.is_dir():
            yield from (folder for folder in sorted(self._root.iterdir()) if (folder / METADATA).exists())

    def _find(self, run_id: str) -> Path:
        if run_id not in self._known:
            by_name = {folder.name: folder for folder in self._folders()}
            by_id = {start.run_id: self._known[start.run_id] for start in self.runs()}
            self._known = by_name | by_id
        return self._known[run_id]


def _records(folder: Path) -> Iterator[AnyRecord]:
    start = _start_of(folder)
    yield start
    if params := _plain(_read_object(folder / PARAMS)):
        yield Params(seq=0, time=start.time, params=params)
    last_time = start.time
    for record in _read_metrics(folder / METRICS, start.time):
        last_time = max(last_time, record.time)
        yield record
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
    """Params as every backend takes them: Python reads broken Unicode, and writes none."""
    try:
        return as_mapping(params)
    except RecursionError:
        return {}


def _integer(value: object, otherwise: int, most: int = MAX_STEP) -> int:
    """A number as we write it; a stranger's file may hold anything in its place."""
    return value if type(value) is int and 0 <= value <= most else otherwise


def _read_object(path: Path) -> dict[str, Any]:
    """As `read_json`, and empty for what can't be read: one bad folder hides no other."""
    try:
        return read_json(path)
    except OSError:
        return {}


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds an object; an empty one for a file that is missing or being written. Raises `OSError`."""
    try:
        content = json.loads(read_regular(path))
    except (FileNotFoundError, ValueError, RecursionError):
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
    """A time as metadata.json holds it, local and to the second or better, in milliseconds since the epoch."""
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
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b"")):
            try:  # lines of ours, a quarter of the time of those that are read below
                plain = _decode_line(line)
                yield Metrics(seq=plain.seq, time=plain.time, step=plain.step, metrics=plain.metrics)
                continue
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass
            try:
                entry = json.loads(line)
                values = {plain_text(name): float(value) for name, value in entry["metrics"].items()}
                step = number if entry.get("step") is None else check_step(entry["step"])
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                continue  # a line that is being written, or no line of metrics
            time = _integer(entry.get("time"), start_time, MAX_TIME)
            empty = Metrics(seq=_integer(entry.get("seq"), number), time=time, step=step, metrics={})
            yield empty.with_values(values)


def _read_artifacts(folder: Path, known: dict[str, Any], time: int) -> Iterator[Artifact]:
    """What the metadata names and what else lies there, but nothing that leads out of the run folder."""
    base = folder / ARTIFACTS
    known = {name: _mapping(entry) for name, entry in known.items() if _is_ours(base / name, base)}
    for name, entry in known.items():
        kind = entry.get("type", "file")
        yield Artifact(
            seq=_integer(entry.get("seq"), 0),
            time=_integer(entry.get("time"), time, MAX_TIME),
            name=name,
            file=str(base / name),
            type=kind if kind in get_args(ArtifactType) else "file",
            size=_integer(entry.get("size"), 0),
            step=None if entry.get("step") is None else _integer(entry["step"], 0),
            annotations=_mapping(entry.get("annotations")),
        )
    known_paths = {base / name for name in known}
    for path in sorted(base.rglob("*")) if base.is_dir() else ():
        if known_paths.isdisjoint((path, *path.parents)) and path.is_file() and _is_ours(path, base):
            name = plain_text(path.relative_to(base).as_posix())
            yield Artifact(seq=0, time=time, name=name, file=str(path), size=path.stat().st_size)


def _is_ours(path: Path, base: Path) -> bool:
    """Whether an artifact is there, and there only: no name of a stranger's, and no link, leads out."""
    try:
        return not leads_out(str(path.relative_to(base))) and path.exists() and is_inside(path, base)
    except (OSError, ValueError):  # a name that no file can have, or an absolute one
        return False
