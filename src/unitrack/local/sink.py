"""The sink of the local files: `metadata.json`, `params.json`, `metrics.jsonl`, `artifacts/`.

`metrics.jsonl` holds one object a line with `step` and `metrics`, and `time` (milliseconds) and `seq` beside them. NaN
and infinity are written as Python's `json` writes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unitrack.errors import SinkMisconfiguredError, SinkUnavailableError, UnitrackError
from unitrack.hookspecs import Checkpoint, Link, RunContext, hookimpl
from unitrack.local.artifacts import LocalArtifacts
from unitrack.local.metrics import LocalMetrics
from unitrack.local.options import LocalOptions
from unitrack.local.params import PARAMS_HISTORY, LocalParams
from unitrack.local.source import METADATA, PARAMS, read_json
from unitrack.records import Artifact, Metrics, Params, RunStart, RunStatus, Tags
from unitrack.system.atomic import remove_leftovers, write_atomically

if TYPE_CHECKING:
    from unitrack.local.team.publisher import Publisher

_STATUS: dict[str, str] = {"finished": "completed"}
"""What `metadata.json` calls a status, if not by its own name."""


class LocalSink:
    """The sink of one run; its files lie in the run folder.

    The checkpoint is the committed length of `metrics.jsonl` and of the history of the params: opening cuts off what a
    crash left beyond. The other files are replaced as a whole, so writing them twice changes nothing.
    """

    def __init__(self, options: LocalOptions) -> None:
        self._options = options
        self._folder = Path()
        self._metadata: dict[str, Any] = {}
        self._params: LocalParams | None = None
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._placed: LocalArtifacts | None = None
        self._metrics: LocalMetrics | None = None
        self._publisher: Publisher | None = None
        self._has_ended = False

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Open the files, `metrics.jsonl` at its committed length."""
        self._folder = run.folder
        with _os_errors_translated():
            for name in (METADATA, PARAMS, PARAMS_HISTORY):
                remove_leftovers(run.folder / name)
            self._metadata = read_json(run.folder / METADATA) or _new_metadata(run.start)
            self._metadata |= {"run_name": run.start.name, "description": run.start.description, "status": "running"}
            self._metadata.pop("end_time", None)
            self._metadata.pop("end_time_ms", None)
            self._params = LocalParams(run.folder, (checkpoint or {"changes": 0}).get("changes"))
            self._artifacts = self._metadata.setdefault("artifacts", {})
            self._placed = LocalArtifacts(run, self._options)
            self._metrics = LocalMetrics(run.folder, run.notes, checkpoint or {})
            self._write_metadata()
        self._has_ended = False
        if self._options.team_store is not None:
            from unitrack.local.team.publisher import Publisher  # noqa: PLC0415  # as in `artifacts`

            self._publisher = Publisher(run, self._options, (checkpoint or {}).get("team") or {})
        return self._link()

    @hookimpl
    def can_rewind(self) -> bool:
        """Return True."""
        return True

    @hookimpl
    def rewind(self, steps: dict[str, int]) -> None:
        """Move the points that a rewind withdraws to `metrics_superseded.jsonl`."""
        assert self._metrics is not None
        with _os_errors_translated():
            self._metrics.rewind(steps)
            if self._publisher is not None:
                self._publisher.begin_generation()

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Merge params into `params.json`; `params_history.jsonl` keeps the values that were replaced."""
        assert self._params is not None
        with _os_errors_translated():
            self._params.take(params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Append points to `metrics.jsonl`."""
        assert self._metrics is not None
        with _os_errors_translated():
            self._metrics.append(metrics)
        if self._publisher is not None:
            self._publisher.add(metrics)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Merge tags into `metadata.json`."""
        for record in tags:
            self._metadata["tags"].update(record.tags)
        self._write_metadata()

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Put artifacts under `artifacts/`: links to the run's copies, or pointers to where they are stored."""
        assert self._placed is not None
        for artifact in artifacts:
            with _os_errors_translated():
                self._artifacts[artifact.name] = self._placed.place(artifact)
                if self._publisher is not None:
                    self._publisher.send_pointer(artifact.name)
        self._write_metadata()

    @hookimpl
    def flush(self) -> Checkpoint:
        """Hand everything to the operating system, and return how long the files are now."""
        assert self._metrics is not None
        assert self._params is not None
        with _os_errors_translated():
            checkpoint = {**self._metrics.flush(), "changes": self._params.changes}
            if self._publisher is not None:
                self._publisher.publish(ended=self._has_ended)
                checkpoint["team"] = self._publisher.checkpoint()
            return checkpoint

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Write status and time into `metadata.json`."""
        self._metadata["status"] = _STATUS.get(status, status)
        self._metadata["end_time"] = datetime.fromtimestamp(time / 1000).isoformat()
        self._metadata["end_time_ms"] = time  # `end_time` is local time, which an hour of the year has twice
        self._write_metadata()
        self._has_ended = True
        assert self._metrics is not None
        with _os_errors_translated():
            self._metrics.remove_earlier_generations()

    @hookimpl
    def close(self) -> None:
        """Close the file. What was not flushed is dropped; it is delivered again."""
        if self._metrics is not None:
            self._metrics.close()

    def _link(self) -> Link:
        folder = self._folder
        if self._publisher is not None:
            return Link(id=self._publisher.run_id, location=self._publisher.location)
        return Link(id=folder.name, location=str(folder.parent), open_with=f"unitrack show {folder}")

    def _write_metadata(self) -> None:
        with _os_errors_translated():
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


def _json(content: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


@contextlib.contextmanager
def _os_errors_translated() -> Iterator[None]:
    """Turn errors of the operating system into those that tell the lane what to do."""
    try:
        yield
    except UnitrackError:
        raise
    except PermissionError as error:
        raise SinkMisconfiguredError(f"can't write {error.filename}: permission denied") from error
    except OSError as error:
        why = f"can't write {error.filename or 'local files'}: {error.strerror}"
        raise SinkUnavailableError(why, reopen=True) from error  # a part may be written
