"""The local backend: a folder with `metadata.json`, `params.json`, `metrics.jsonl`, `artifacts/`.

It is a sink like any other. `metrics.jsonl` holds one object a line with `step` and `metrics`,
and `time` (milliseconds) and `seq` beside them. NaN and infinity are written as Python's `json` writes them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import Backend, Checkpoint, Finding, Link, RunContext, SinkOptions, hookimpl
from unitrack.local_metrics import LocalMetrics
from unitrack.local_params import PARAMS_HISTORY, LocalParams
from unitrack.local_source import ARTIFACTS, METADATA, PARAMS, LocalSource, read_json
from unitrack.records import Artifact, Metrics, Params, RunStart, RunStatus, Tags
from unitrack.runfolder import remove_torn, write_atomically
from unitrack.safe_files import is_inside, link_or_copy, locate_inside, make_folders

__all__ = ["LocalSink", "LocalSource", "check", "register_backends"]

_STATUS: dict[str, str] = {"finished": "completed"}  # the others are the same


@hookimpl
def register_backends() -> list[Backend]:
    """The local files."""
    return [
        Backend(
            name="local",
            summary="plain files in the run folder: metadata.json, params.json, metrics.jsonl, artifacts/",
            sink="unitrack.local:LocalSink",
            source="unitrack.local_source:LocalSource",
            rewinds=True,
            kinds_in_order=False,
            once_per_run=True,
            native={
                "metrics": "metrics.jsonl",
                "params": "params.json",
                "tags": "metadata.json",
                "description": "metadata.json",
                "status": "metadata.json",
            },
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
    """Writes its files into the run folder.

    Appends to `metrics.jsonl`; its committed length is the checkpoint, and what a crash left beyond it is cut off, as
    from the history of the params. The other files are replaced as a whole, so writing them twice changes nothing.
    """

    def __init__(self, options: SinkOptions) -> None:
        self._folder = Path()
        self._metadata: dict[str, Any] = {}
        self._params: LocalParams | None = None
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._metrics: LocalMetrics | None = None

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Open the files, `metrics.jsonl` at its committed length."""
        self._folder = run.folder
        with _answering_os_errors():
            for name in (METADATA, PARAMS, PARAMS_HISTORY):
                remove_torn(run.folder / name)
            self._metadata = read_json(run.folder / METADATA) or _new_metadata(run.start)
            self._metadata["status"] = "running"
            self._metadata.pop("end_time", None)
            self._metadata.pop("end_time_ms", None)
            self._params = LocalParams(run.folder, (checkpoint or {"changes": 0}).get("changes"))
            self._artifacts = self._metadata.setdefault("artifacts", {})
            self._metrics = LocalMetrics(run.folder, run.notes, checkpoint or {})
            self._write_metadata()
        return self._link()

    @hookimpl
    def rewind(self, steps: dict[str, int]) -> Link:
        """Move the points that training went back behind to `metrics_superseded.jsonl`."""
        assert self._metrics is not None
        if steps:
            with _answering_os_errors():
                self._metrics.rewind(steps)
        return self._link()

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Merge into `params.json`, a later value replacing an earlier one, which `params_history.jsonl` keeps."""
        assert self._params is not None
        with _answering_os_errors():
            self._params.take(params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Append to `metrics.jsonl`."""
        assert self._metrics is not None
        with _answering_os_errors():
            self._metrics.append(metrics)

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
                    self._place(artifact)
                except (FileExistsError, NotADirectoryError) as error:  # "a/b" when "a" is a file
                    raise RecordRejectedError(f"{artifact.name!r} lies below an artifact that is a file") from error
                except FileNotFoundError as error:
                    raise RecordRejectedError(f"the run's copy of {artifact.name!r} is gone") from error
                except OSError as error:
                    if error.errno != errno.ENAMETOOLONG:
                        raise
                    raise RecordRejectedError(f"{artifact.name[:80]!r} is longer than a file name may be") from error
            self._artifacts[artifact.name] = {
                "type": artifact.type,
                "size": artifact.size,
                "time": artifact.time,
                "seq": artifact.seq,
                **({} if artifact.step is None else {"step": artifact.step}),
                **({"annotations": artifact.annotations} if artifact.annotations else {}),
            }
        self._write_metadata()

    def _place(self, artifact: Artifact) -> None:
        destination = self._folder / ARTIFACTS / artifact.name
        if not is_inside(destination.parent, self._folder):
            raise RecordRejectedError(
                f"{artifact.name!r} would be written through a symbolic link, out of the run folder"
            )
        _place(locate_inside(self._folder, artifact.file), destination)

    @hookimpl
    def flush(self) -> Checkpoint:
        """Hand everything to the operating system, and note how long the files are now."""
        assert self._metrics is not None
        assert self._params is not None
        with _answering_os_errors():
            return {**self._metrics.flush(), "changes": self._params.changes}

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Note status and time."""
        self._metadata["status"] = _STATUS.get(status, status)
        self._metadata["end_time"] = datetime.fromtimestamp(time / 1000).isoformat()
        self._metadata["end_time_ms"] = time  # `end_time` is local time, which an hour of the year has twice
        self._write_metadata()
        assert self._metrics is not None
        with _answering_os_errors():
            self._metrics.forget_before()

    @hookimpl
    def close(self) -> None:
        """Close the file, dropping what was not flushed: it comes again."""
        if self._metrics is not None:
            self._metrics.close()

    def _link(self) -> Link:
        folder = self._folder
        return Link(id=folder.name, location=str(folder.parent), open_with=f"unitrack show {folder}")

    def _write_metadata(self) -> None:
        with _answering_os_errors():
            write_atomically(self._folder / METADATA, _json(self._metadata))


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


def _place(copy: Path, destination: Path) -> None:
    """Link `copy` (a file or a folder) to `destination`, replacing what is there."""
    make_folders(destination.parent)
    aside = destination.with_name(f".{destination.name}.new")
    _remove(aside)
    link_or_copy(copy, aside)
    if copy.is_dir() or destination.is_dir():
        _remove(destination)
    os.replace(aside, destination)
    _remove(aside)  # it stays where both are links to one file, as after a redelivery


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _json(content: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


class _answering_os_errors:
    """Turns the operating system's errors into the answers that a lane understands."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, PermissionError):
            raise SinkMisconfiguredError(f"can't write {error.filename}: permission denied") from error
        if isinstance(error, OSError):
            why = f"can't write {error.filename or 'local files'}: {error.strerror}"
            raise SinkUnavailableError(why, reopen=True) from error  # a part may be written
