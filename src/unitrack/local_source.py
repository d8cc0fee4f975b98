"""Reading the local backend's layout, whoever wrote it; see `unitrack.local`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from unitrack.hookspecs import RunSummary
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, RunStatus, flatten


class _Line(msgspec.Struct):
    """A line of metrics as the local sink writes it, with finite values."""

    step: int
    metrics: dict[str, float]
    seq: int
    time: int


_decode_line = msgspec.json.Decoder(_Line).decode

METADATA, PARAMS, METRICS, ARTIFACTS = "metadata.json", "params.json", "metrics.jsonl", "artifacts"


class LocalSource:
    """Reads run folders in the document's layout, ours and others'.

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
            params=flatten(read_json(folder / PARAMS)),
            tags=start.tags,
            last=last,
            status=end.status if end else "running",
            ended=end.time if end else None,
        )

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
    params = read_json(folder / PARAMS)
    if params:
        yield Params(seq=0, time=start.time, params=params)
    last_time = start.time
    for record in _read_metrics(folder / METRICS, start.time):
        last_time = max(last_time, record.time)
        yield record
    yield from _read_artifacts(folder, read_json(folder / METADATA).get("artifacts", {}), last_time)
    end = _end_of(folder, last_time)
    if end is not None:
        yield end


def _end_of(folder: Path, last_time: int) -> RunEnd | None:
    metadata = read_json(folder / METADATA)
    status = metadata.get("status", "running")
    if status == "running":
        return None
    ended: RunStatus = "finished" if status == "completed" else status
    time = metadata.get("end_time_ms") or _milliseconds(metadata.get("end_time"), last_time)
    return RunEnd(seq=0, time=time, status=ended)


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds an object; an empty one for a file that is missing or being written."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _start_of(folder: Path) -> RunStart:
    metadata = read_json(folder / METADATA)
    return RunStart(
        seq=0,
        time=metadata.get("start_time_ms") or _milliseconds(metadata.get("start_time"), 0),
        run_id=str(metadata.get("run_id", folder.name)),
        name=str(metadata.get("run_name", folder.name)),
        project=str(metadata.get("project", "")),
        description=str(metadata.get("description", "")),
        tags={str(name): str(value) for name, value in metadata.get("tags", {}).items()},
    )


def _milliseconds(text: object, otherwise: int) -> int:
    """A time as the document writes it, in milliseconds since the epoch."""
    for parse in (lambda value: datetime.strptime(value, "%Y%m%d_%H%M%S"), datetime.fromisoformat):
        try:
            return int(parse(str(text)).timestamp() * 1000)
        except ValueError:
            continue
    return otherwise


def _read_metrics(path: Path, start_time: int) -> Iterator[Metrics]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file):
            try:  # lines of ours, a quarter of the time of those that are read below
                plain = _decode_line(line)
                yield Metrics(seq=plain.seq, time=plain.time, step=plain.step, metrics=plain.metrics)
                continue
            except msgspec.MsgspecError:
                pass
            try:
                entry = json.loads(line)
                values = {str(name): float(value) for name, value in entry["metrics"].items()}
                step = number if entry.get("step") is None else int(entry["step"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # a line that is being written, or no line of metrics
            empty = Metrics(seq=entry.get("seq", number), time=entry.get("time", start_time), step=step, metrics={})
            yield empty.with_values(values)


def _read_artifacts(folder: Path, known: dict[str, Any], time: int) -> Iterator[Artifact]:
    base = folder / ARTIFACTS
    for name, entry in known.items():
        if (base / name).exists():
            yield Artifact(
                seq=entry.get("seq", 0),
                time=entry.get("time", time),
                name=name,
                file=str(base / name),
                type=entry.get("type", "file"),
                size=entry.get("size", 0),
                step=entry.get("step"),
            )
    known_paths = [base / name for name in known]
    for path in sorted(base.rglob("*")) if base.is_dir() else ():
        if path.is_file() and not any(path == one or one in path.parents for one in known_paths):
            name = path.relative_to(base).as_posix()
            yield Artifact(seq=0, time=time, name=name, file=str(base / name), size=path.stat().st_size)
