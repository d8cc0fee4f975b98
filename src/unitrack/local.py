"""The local backend: the document's folder layout, `metadata.json`, `params.json`, `metrics.jsonl`, `artifacts/`.

It is a sink like any other. `metrics.jsonl` holds one object a line with `step` and `metrics`, as the document reads
it, and `time` (milliseconds) and `seq` beside them. NaN and infinity are written as Python's `json` writes them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import Backend, Checkpoint, Finding, Link, RunContext, SinkOptions, hookimpl
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, RunStatus, Tags
from unitrack.runfolder import write_atomically

_METADATA, _PARAMS, _METRICS, _ARTIFACTS = "metadata.json", "params.json", "metrics.jsonl", "artifacts"
_STATUS: dict[str, str] = {"finished": "completed"}  # the document's word; the others are the same


@hookimpl
def register_backends() -> list[Backend]:
    """The local files."""
    return [
        Backend(
            name="local",
            summary="plain files in the run folder: metadata.json, params.json, metrics.jsonl, artifacts/",
            sink="unitrack.local:LocalSink",
            source="unitrack.local:LocalSource",
            check="unitrack.local:check",
        )
    ]


def check(options: SinkOptions) -> Iterator[Finding]:
    """Whether there is room to write; that the root can be written is checked by `start_run` itself."""
    free = shutil.disk_usage(Path.cwd()).free
    yield Finding(
        free > 100 * 2**20, "disk", f"{free / 2**30:.1f} GiB free" + ("" if free > 100 * 2**20 else "; make room")
    )


class LocalSink:
    """Writes the document's layout into the run folder.

    Appends to `metrics.jsonl`; its committed length is the checkpoint, and what a crash left beyond it is cut off. The
    other files are replaced as a whole, so writing them twice changes nothing.
    """

    def __init__(self, options: SinkOptions) -> None:
        self._folder = Path()
        self._metadata: dict[str, Any] = {}
        self._params: dict[str, Any] = {}
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._metrics: BinaryIO | None = None

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Open the files, `metrics.jsonl` at its committed length."""
        self._folder = run.folder
        committed = (checkpoint or {}).get("metrics_bytes", 0)
        with _answering_os_errors():
            self._metadata = _read_json(run.folder / _METADATA) or _new_metadata(run.start)
            self._metadata["status"] = "running"
            self._metadata.pop("end_time", None)
            self._params = _read_json(run.folder / _PARAMS)
            self._artifacts = self._metadata.setdefault("artifacts", {})
            self._metrics = open(run.folder / _METRICS, "ab")  # noqa: SIM115 (closed by close)
            self._metrics.truncate(committed)
            self._metrics.seek(committed)  # appending goes to the end anyway, but `flush` asks where that is
            self._write_metadata()
        return Link(id=run.folder.name, location=str(run.folder.parent), open_with=f"unitrack show {run.folder}")

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Merge into `params.json`, a later value replacing an earlier one."""
        for record in params:
            _merge(self._params, record.params)
        with _answering_os_errors():
            write_atomically(self._folder / _PARAMS, _json(self._params))

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Append to `metrics.jsonl`."""
        assert self._metrics is not None
        with _answering_os_errors():
            self._metrics.write(b"".join(_metrics_line(record) for record in metrics))

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Keep them in `metadata.json`."""
        for record in tags:
            self._metadata["tags"].update(record.tags)
        self._write_metadata()

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Put the run's copy under `artifacts/`: a link to it, which costs no space and no time."""
        for artifact in artifacts:
            with _answering_os_errors():
                try:
                    _place(self._folder / artifact.file, self._folder / _ARTIFACTS / artifact.name)
                except (FileExistsError, NotADirectoryError) as error:  # "a/b" when "a" is a file
                    raise RecordRejectedError(f"{artifact.name!r} lies below an artifact that is a file") from error
                except FileNotFoundError as error:
                    raise RecordRejectedError(f"the run's copy of {artifact.name!r} is gone") from error
            self._artifacts[artifact.name] = {
                "type": artifact.type,
                "size": artifact.size,
                "time": artifact.time,
                "seq": artifact.seq,
                **({} if artifact.step is None else {"step": artifact.step}),
            }
        self._write_metadata()

    @hookimpl
    def flush(self) -> Checkpoint:
        """Hand everything to the operating system, and note how long `metrics.jsonl` is now."""
        assert self._metrics is not None
        with _answering_os_errors():
            self._metrics.flush()
            return {"metrics_bytes": self._metrics.tell()}

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Note status and time, as the document does."""
        self._metadata["status"] = _STATUS.get(status, status)
        self._metadata["end_time"] = datetime.fromtimestamp(time / 1000).isoformat()
        self._write_metadata()

    @hookimpl
    def close(self) -> None:
        """Close the file, dropping what was not flushed: it comes again."""
        if self._metrics is not None:
            self._metrics.close()

    def _write_metadata(self) -> None:
        with _answering_os_errors():
            write_atomically(self._folder / _METADATA, _json(self._metadata))


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

    def _folders(self) -> Iterator[Path]:
        if (self._root / _METADATA).exists():
            yield self._root
        elif self._root.is_dir():
            yield from (folder for folder in sorted(self._root.iterdir()) if (folder / _METADATA).exists())

    def _find(self, run_id: str) -> Path:
        if run_id not in self._known:
            by_name = {folder.name: folder for folder in self._folders()}
            by_id = {start.run_id: self._known[start.run_id] for start in self.runs()}
            self._known = by_name | by_id
        return self._known[run_id]


def _records(folder: Path) -> Iterator[AnyRecord]:
    start = _start_of(folder)
    yield start
    params = _read_json(folder / _PARAMS)
    if params:
        yield Params(seq=0, time=start.time, params=params)
    last_time = start.time
    for record in _read_metrics(folder / _METRICS, start.time):
        last_time = max(last_time, record.time)
        yield record
    metadata = _read_json(folder / _METADATA)
    yield from _read_artifacts(folder, metadata.get("artifacts", {}), last_time)
    status = metadata.get("status", "running")
    if status != "running":
        ended: RunStatus = "finished" if status == "completed" else status
        yield RunEnd(seq=0, time=_milliseconds(metadata.get("end_time"), last_time), status=ended)


def _new_metadata(start: RunStart) -> dict[str, Any]:
    return {
        "run_name": start.name,
        "start_time": datetime.fromtimestamp(start.time / 1000).strftime("%Y%m%d_%H%M%S"),
        "status": "running",
        "run_id": start.run_id,
        "project": start.project,
        "description": start.description,
        "tags": dict(start.tags),
        "start_time_ms": start.time,
    }


def _start_of(folder: Path) -> RunStart:
    metadata = _read_json(folder / _METADATA)
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


def _metrics_line(record: Metrics) -> bytes:
    line = {"step": record.step, "metrics": record.values(), "time": record.time, "seq": record.seq}
    if record.special:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"  # NaN and Infinity, which msgspec does not write
    return msgspec.json.encode(line) + b"\n"


def _read_metrics(path: Path, start_time: int) -> Iterator[Metrics]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file):
            try:
                entry = json.loads(line)
                values = {str(name): float(value) for name, value in entry["metrics"].items()}
                step = number if entry.get("step") is None else int(entry["step"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # a line that is being written, or no line of metrics
            empty = Metrics(seq=entry.get("seq", number), time=entry.get("time", start_time), step=step, metrics={})
            yield empty.with_values(values)


def _read_artifacts(folder: Path, known: dict[str, Any], time: int) -> Iterator[Artifact]:
    base = folder / _ARTIFACTS
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


def _place(copy: Path, destination: Path) -> None:
    """Link `copy` (a file or a folder) to `destination`, replacing what is there."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    aside = destination.with_name(f".{destination.name}.new")
    _remove(aside)
    if copy.is_dir():
        shutil.copytree(copy, aside, copy_function=_link_or_copy)
    else:
        _link_or_copy(str(copy), str(aside))
    if copy.is_dir() or destination.is_dir():
        _remove(destination)
    os.replace(aside, destination)
    _remove(aside)  # it stays where both are links to one file, as after a redelivery


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link_or_copy(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _json(content: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class _answering_os_errors:
    """Turns the operating system's errors into the answers that a lane understands."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, PermissionError):
            raise SinkMisconfiguredError(f"can't write {error.filename}: permission denied") from error
        if isinstance(error, OSError):
            raise SinkUnavailableError(f"can't write {error.filename or 'local files'}: {error.strerror}") from error
