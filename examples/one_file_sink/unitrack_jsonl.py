"""The backend `jsonl`, whole: each run is a file of JSON lines, `<folder>/<run id>.jsonl`, and its artifacts."""

import itertools
import os
import shutil
from pathlib import Path

from msgspec import json, structs

from unitrack.hookspecs import Backend, Link, SinkOptions, Source, hookimpl
from unitrack.records import AnyRecord, Artifact, RunEnd, RunStart


class JsonlOptions(SinkOptions, frozen=True):
    """`sinks=[{"jsonl": {"folder": "/data/runs"}}]`. A relative folder is one in the run folder."""

    folder: str = "jsonl"


@hookimpl
def register_backends():  # called in the training process: nothing here may import an SDK
    sink, source = "unitrack_jsonl:JsonlSink", "unitrack_jsonl:JsonlSource"
    return [Backend(name="jsonl", summary="JSON lines", sink=sink, source=source, options=JsonlOptions)]


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
        self._write([run.start])  # once more, as it may have another name by now
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


class JsonlSource(Source):
    """The runs of such a folder, read back."""

    def __init__(self, location):
        self._folder = Path(location)
        if not self._folder.is_dir():
            raise FileNotFoundError(f"there is no folder {location}: give one of .jsonl files")

    def runs(self):
        for run_id in self._files():
            yield from itertools.islice(self.records(run_id), 1)  # the start

    def records(self, run_id):  # without starts and artifacts that later ones replaced, and ends before a resume
        lines = self._files()[run_id].read_bytes().split(b"\n")[:-1]
        records = [json.decode(line, type=AnyRecord) for line in lines]
        newest = {record.name: record for record in records if isinstance(record, Artifact)}
        starts = [record for record in records if isinstance(record, RunStart)]
        yield starts[-1]
        for record in (record for record in records if not isinstance(record, RunStart)):
            is_old = isinstance(record, Artifact) and newest[record.name] is not record
            if not is_old and (record is records[-1] or not isinstance(record, RunEnd)):
                yield record

    def _files(self):
        return {file.stem: file for file in sorted(self._folder.glob("*.jsonl"))}
