"""Runs that are delivered into memory: for tests of training code, without any backend."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.hookspecs import Backend, Link, RunContext, SinkOptions, hookimpl
from unitrack.plugins.registry import with_backend
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStatus, Tags
from unitrack.testing.whole_run import Contents

BACKEND = Backend(name="recording", summary="memory, for tests", sink=f"{__name__}:RecordingSink")
"""What `recorded()` logs to. It is no plugin: only code within `recorded()` sees it."""


class Recording(Contents):
    """One run as it was logged.

    It has `name`, `project`, `description`, `status`, `params` (by dotted name), `points` (by metric: steps and
    values), `tags`, `files` (content by artifact name) and `records`.
    """

    records: list[AnyRecord] = msgspec.field(default_factory=list)
    """All records of the run, in order."""

    def values(self, metric: str) -> list[float]:
        """Return the values of a metric in the order of logging; an empty list if it was never logged."""
        return [value for _, value in self.points.get(metric, [])]

    def add(self, record: AnyRecord) -> None:
        """Keep one record."""
        self.records.append(record)
        super().add(record)


_recordings: dict[Path, Recording] = {}  # by run folder: sinks are made by lanes, out of reach for a test


class RecordingSink:
    """A sink that keeps every record in the memory of its process: for `delivery="inline"` and `"thread"`."""

    def __init__(self, options: SinkOptions) -> None: ...

    @hookimpl
    def open_run(self, run: RunContext) -> Link:
        """Begin to record, or go on with a run that was resumed."""
        self._run = run
        self._recording = _recordings.setdefault(run.folder, Recording())
        if not self._recording.records:
            self._recording.add(run.start)
        return Link(id=run.start.run_id, location=str(run.folder))

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Keep params."""
        self._keep(params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Keep points."""
        self._keep(metrics)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Keep tags."""
        self._keep(tags)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Keep artifacts with their content: the run's own copy is removed at its end."""
        for artifact in artifacts:
            self._recording.add(artifact)
            self._recording.put(artifact.name, self._run.locate(artifact))

    @hookimpl
    def flush(self) -> dict[str, Any]:
        """Return an empty checkpoint: memory needs none."""
        return {}

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Keep the end."""
        self._recording.add(RunEnd(seq=0, time=time, status=status))

    def _keep(self, records: list[Any]) -> None:
        for record in records:
            self._recording.add(record)


class Recordings:
    """The runs that were recorded, in the order in which they started. Iterate, index and count them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: list[Recording] | None = None

    def _all(self) -> list[Recording]:
        if self._kept is not None:
            return self._kept
        return [recording for folder, recording in _recordings.items() if folder.is_relative_to(self._root)]

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, index: int) -> Recording:
        return self._all()[index]

    def finish(self) -> None:
        """Keep what was recorded so far; the folders of these runs may be used by others from now on."""
        self._kept = self._all()
        for folder in [folder for folder in _recordings if folder.is_relative_to(self._root)]:
            del _recordings[folder]


@contextlib.contextmanager
def recorded() -> Iterator[Recordings]:
    """Record the runs that start within the block. Yields them; look at them within the block or after it.

    The runs log to memory instead of the sinks of `unitrack.yaml`, deliver in the log call itself, and lie in a folder
    that is removed at the end of the block. It works through environment variables: so there can be one `recorded()`
    at a time, and a `sinks=`, `delivery=` or `root=` that the code itself passes to `start_run` goes before it.
    """
    with with_backend(BACKEND), tempfile.TemporaryDirectory(prefix="unitrack-recorded-") as folder:
        runs = Recordings(Path(folder).resolve())
        try:
            with _environment({"UNITRACK_SINKS": BACKEND.name, "UNITRACK_DELIVERY": "inline", "UNITRACK_ROOT": folder}):
                yield runs
        finally:
            runs.finish()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
