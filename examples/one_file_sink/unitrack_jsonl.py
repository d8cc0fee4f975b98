"""A complete backend in one file: each run is one file of JSON lines, `<folder>/<run id>.jsonl`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from unitrack.hookspecs import Backend, Checkpoint, Link, RunContext, SinkOptions, hookimpl
from unitrack.records import AnyRecord, Metrics, Params, RunEnd, RunStatus


class JsonlOptions(SinkOptions, frozen=True):
    """`sinks=[{"jsonl": {"folder": "runs"}}]`."""

    folder: str = "jsonl"

    def anchored(self, directory: Path) -> JsonlOptions:
        """The courier may run in another directory than training."""
        return JsonlOptions(folder=str(directory / self.folder))


@hookimpl
def register_backends() -> list[Backend]:
    """Called in the training process: nothing here may import an SDK."""
    return [Backend(name="jsonl", summary="JSON lines", sink="unitrack_jsonl:JsonlSink", options=JsonlOptions)]


class JsonlSink:
    """One run. Lives in the courier; the committed length of the file is the checkpoint."""

    def __init__(self, options: JsonlOptions) -> None:
        self._folder = Path(options.folder)

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Cut off what a crash left beyond the checkpoint: it comes again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{run.start.run_id}.jsonl"
        path.touch()
        os.truncate(path, checkpoint["bytes"] if checkpoint else 0)
        self._file = path.open("ab")
        if checkpoint is None:
            self._write(run.start)
        return Link(id=run.start.run_id, location=str(self._folder), open_with=f"tail -f {path}")

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Nested as logged."""
        self._write(*params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """In the order of logging."""
        self._write(*metrics)

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """The last line."""
        self._write(RunEnd(seq=0, time=time, status=status))

    @hookimpl
    def flush(self) -> Checkpoint:
        """What is in the file now will not be asked for again."""
        self._file.flush()
        return {"bytes": self._file.tell()}

    @hookimpl
    def close(self) -> None:
        """After `flush`, or after a failure: either way nothing in the buffer counts."""
        self._file.close()

    def _write(self, *records: AnyRecord) -> None:
        self._file.write(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
