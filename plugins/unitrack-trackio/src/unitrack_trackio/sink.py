"""The sink: one run of a local trackio project.

trackio takes no row back. So a checkpoint is the id of the last row; what lies beyond it after a crash is read back,
and claimed as those records come again: none of it is written twice. Rows that are alike are claimed one by one.
"""

from __future__ import annotations

import json
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import trackio

from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import Checkpoint, Link, RunContext, hookimpl
from unitrack.records import Artifact, Metrics, Params, RunStatus, Tags, merge
from unitrack_trackio.database import Database, TrackioRun
from unitrack_trackio.names import (
    RECORD,
    artifact_name,
    file_name,
    key_of,
    member_name,
    member_of,
    project_name,
    short_member_name,
    time_text,
)
from unitrack_trackio.options import TrackioOptions
from unitrack_trackio.project_lock import making_runs
from unitrack_trackio.session import refuse_remote, with_run

_ARTIFACT_TYPE = "artifact"  # one for all: in trackio a name has one type in all runs of a project
_SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""trackio's words for what JSON has no numbers for."""


class TrackioSink:
    """Writes metrics as rows, and all else but files into the run's config."""

    def __init__(self, options: TrackioOptions) -> None:
        self._options = options
        self._config: dict[str, Any] = {}
        self._changed = False
        self._rows: list[tuple[int, dict[str, Any]]] = []
        self._unclaimed: dict[str, deque[int]] = {}
        """Ids of rows that wait for the records they were made of to come again."""
        self._last_row = 0
        self._step = 0

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Find the run by the mark in its config, or make it."""
        refuse_remote()
        self._run = run
        self._project = project_name(self._options.project or run.start.project)
        folder = Path(trackio.TRACKIO_DIR).absolute()
        if checkpoint and checkpoint["folder"] != str(folder):
            raise SinkMisconfiguredError(f"the run is in {checkpoint['folder']}: set TRACKIO_DIR to that again")
        self._folder = folder
        self._database = Database(folder / f"{self._project}.db")
        self._rows, self._changed = [], False
        found = self._find() or self._make()
        self._id, self._name = found.id, found.name
        self._config = {key: value for key, value in found.config.items() if not key.startswith("_")}
        record = self._config[RECORD]
        shown = {"name": run.start.name, "description": run.start.description}
        if record.pop("status", None) or shown != {key: record.get(key, "") for key in shown}:  # it goes on
            record |= shown
            self._changed = True
        self._read_unclaimed(checkpoint or {"row": 0, "unclaimed": []})
        return Link(
            id=f"{self._project}/{self._id}",
            location=str(folder),
            open_with=f"TRACKIO_DIR={folder} trackio show --project {self._project}",
        )

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Merge into the config, nested as they are; a later value replaces an earlier one."""
        for record in params:
            self._config = merge(self._config, {key_of(name): value for name, value in record.params.items()})
        self._changed = True

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Keep rows for the next `flush`, without those that are there already."""
        for record in metrics:
            values: dict[str, Any] = {key_of(name): value for name, value in record.values().items()}
            values[RECORD] = time_text(record.time)  # trackio's own is that of writing
            identity = _identity(record.step, values)
            if waiting := self._unclaimed.get(identity):
                waiting.popleft()
            else:
                self._rows.append((record.step, values))
            self._step = record.step

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Keep them in the config."""
        for record in tags:
            self._config[RECORD]["tags"] |= record.tags
        self._changed = True

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Give them to trackio, which keeps a version for each content; the same again is the same version."""
        for artifact in artifacts:
            names = _stored_names(self._run.locate(artifact))
            log = partial(self._log_artifact, artifact, names)
            version = with_run(self._project, self._name, self._config, log)
            self._config[RECORD]["artifacts"][artifact.name] = {
                "version": version,
                "folder": names is not None,
                "names": {short: escaped for escaped, short in (names or {}).items() if short != escaped},
                "type": artifact.type,
                "size": artifact.size,
                "time": artifact.time,
                "step": artifact.step,
                **({"annotations": artifact.annotations} if artifact.annotations else {}),
            }
        self._changed = True

    @hookimpl
    def flush(self) -> Checkpoint:
        """Write the rows and the config, and see that they are there."""
        if self._changed and not self._rows:
            self._rows.append((self._step, {}))  # trackio writes a config with a row
        self._write(self._rows)
        self._rows, self._changed = [], False
        unclaimed = sorted(row for rows in self._unclaimed.values() for row in rows)
        return {"row": self._last_row, "unclaimed": unclaimed, "folder": str(self._folder)}

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Keep the status in the config: trackio's runs have none."""
        self._config[RECORD] |= {"status": status, "ended": time}
        self._changed = True

    def _make(self) -> TrackioRun:
        with making_runs(self._database.path):
            found = self._find()  # by another process of this run, meanwhile
            if found is None:
                self._name = self._free_name()
                self._config = {RECORD: self._record()}
                self._write([(0, {})])  # trackio makes a run with its first row
                found = self._find()
        if found is None:
            raise SinkUnavailableError(f"trackio has not written the run to {self._database.path}")
        return found

    def _record(self) -> dict[str, Any]:
        start = self._run.start
        return {
            "run_id": start.run_id,
            "sink": self._run.sink_name,
            "name": start.name,
            "project": start.project,
            "description": start.description,
            "time": start.time,
            "tags": dict(start.tags),
            "artifacts": {},
        }

    def _find(self) -> TrackioRun | None:
        mine = (self._run.start.run_id, self._run.sink_name)
        for one in self._database.runs():
            record = one.config.get(RECORD)
            if isinstance(record, dict) and (record.get("run_id"), record.get("sink")) == mine:
                return one
        return None

    def _read_unclaimed(self, checkpoint: Checkpoint) -> None:
        self._unclaimed, self._last_row = {}, checkpoint["row"]
        waiting = set(checkpoint["unclaimed"])
        for row in self._database.rows(self._id, after=min(waiting, default=checkpoint["row"] + 1) - 1):
            if row.values and (row.id > checkpoint["row"] or row.id in waiting):
                self._unclaimed.setdefault(_identity(row.step, row.values), deque()).append(row.id)
            self._last_row = max(self._last_row, row.id)

    def _free_name(self) -> str:
        """Return a name that no run has: trackio resumes runs by their names."""
        start = self._run.start
        taken = {one.name for one in self._database.runs()}
        names = (start.name, f"{start.name}-{start.run_id}", f"{start.name}-{start.run_id}-{self._run.sink_name}")
        return next(name for name in names if name not in taken)

    def _write(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        if not rows:
            return

        def log(run: trackio.Run) -> str:
            for step, values in rows:
                run.log(values, step=step)
            return str(run.id)

        run_id = with_run(self._project, self._name, self._config, log)
        written = [row.id for row in self._database.rows(run_id, after=self._last_row)]
        if len(written) < len(rows):
            message = f"trackio wrote {len(written)} of {len(rows)} rows to {self._database.path}"
            raise SinkUnavailableError(message, reopen=True)  # those that are there are claimed then
        self._last_row = written[-1]

    def _log_artifact(self, artifact: Artifact, names: dict[str, str] | None, run: trackio.Run) -> str:
        path = self._run.locate(artifact)
        told = {"name": artifact.name, "type": artifact.type, "step": artifact.step}
        kept = trackio.Artifact(artifact_name(artifact.name), type=_ARTIFACT_TYPE, metadata=told)
        try:
            if names is None:
                kept.add_file(path, name=file_name(artifact.name))
            else:
                for escaped, short in names.items():
                    kept.add_file(path / member_of(escaped), name=short)
            return str(run.log_artifact(kept).version)
        except (ValueError, FileNotFoundError) as error:
            raise RecordRejectedError(f"trackio does not take {artifact.name!r}: {error}") from error


def _stored_names(path: Path) -> dict[str, str] | None:
    """Return the name in trackio of each file of a folder, by its escaped name; None for a file."""
    if not path.is_dir():
        return None
    files = (file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if file.is_file())
    return {escaped: short_member_name(escaped) for escaped in map(member_name, files)}


def _identity(step: int, values: dict[str, Any]) -> str:
    """Return a text that is the same for two rows that are alike."""
    plain = {key: _SPELLED.get(repr(value), value) for key, value in values.items()}
    return json.dumps([step, plain], sort_keys=True)
