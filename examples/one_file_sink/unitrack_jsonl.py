"""The backend `jsonl`, all of it: each run is a file of JSON lines, `<folder>/<run id>.jsonl`, and its artifacts."""

import os
import shutil

from msgspec import json, structs

from unitrack.hookspecs import Backend, Link, SinkOptions, hookimpl
from unitrack.records import RunEnd


class JsonlOptions(SinkOptions, frozen=True):
    """`sinks=[{"jsonl": {"folder": "/data/runs"}}]`. A relative folder is one in the run folder."""

    folder: str = "jsonl"


@hookimpl
def register_backends():  # called in the training process: nothing here may import an SDK
    return [Backend(name="jsonl", summary="JSON lines", sink="unitrack_jsonl:JsonlSink", options=JsonlOptions)]


class JsonlSink:
    """One run. Lives in the courier; the committed length of the file is the checkpoint."""

    def __init__(self, options):
        self._options = options

    @hookimpl
    def open_run(self, run, checkpoint):  # cut off what a crash left beyond the checkpoint: it comes again
        folder = run.folder / self._options.folder
        self._run, self._copies = run, folder / f"{run.start.run_id}.artifacts"
        self._copies.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{run.start.run_id}.jsonl").open("ab")
        os.truncate(self._file.name, checkpoint["bytes"] if checkpoint else 0)
        if checkpoint is None:
            self._write([run.start])
        return Link(id=run.start.run_id, location=str(folder), open_with=f"tail -f {self._file.name}")

    log_params = hookimpl(lambda self, params: self._write(params))
    log_metrics = hookimpl(lambda self, metrics: self._write(metrics))
    set_tags = hookimpl(lambda self, tags: self._write(tags))
    end_run = hookimpl(lambda self, status, time: self._write([RunEnd(seq=0, time=time, status=status)]))
    close = hookimpl(lambda self: self._file.close())

    @hookimpl
    def log_artifacts(self, artifacts):  # copied, as the run's own copy goes; copying again changes nothing
        for artifact in artifacts:
            copy, source = self._copies / f"{artifact.time}-{artifact.seq}", self._run.locate(artifact)
            shutil.copytree(source, copy, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, copy)
            self._write([structs.replace(artifact, file=str(copy))])

    @hookimpl
    def flush(self):  # what is in the file now will not be asked for again
        self._file.flush()
        return {"bytes": os.path.getsize(self._file.name)}

    def _write(self, records):
        self._file.write(b"".join(json.encode(record) + b"\n" for record in records))
