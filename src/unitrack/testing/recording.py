"""What training code logged, for its tests: runs that are delivered into memory, without any backend."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.entry_points import EntryPoint
from unitrack.hookspecs import Backend, Link, RunContext, SinkOptions, hookimpl
from unitrack.plugins import installed
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStatus, Tags
from unitrack.testing.contents import Contents

NAME = "recording"


@hookimpl
def register_backends() -> list[Backend]:
    """The backend that `recorded()` logs to."""
    return [Backend(name=NAME, summary="memory, for tests", sink=f"{__name__}:RecordingSink")]


class Recording(Contents):
    """One run as it was logged: what it came to, and every record.

    `params` (by dotted name), `points` (by metric: steps and values), `tags`, `files` (content by artifact name),
    `status`, `name`, `project`, `description`.
    """

    records: list[AnyRecord] = msgspec.field(default_factory=list)
    """All of them, in order."""

    def values(self, metric: str) -> list[float]:
        """The values of a metric, in order of logging; none if it was never logged."""
        return [value for _, value in self.points.get(metric, [])]

    def add(self, record: AnyRecord) -> None:
        """Keep one record."""
        self.records.append(record)
        super().add(record)


_recordings: dict[Path, Recording] = {}  # by run folder: a sink is made by a lane, of which a test knows nothing


class RecordingSink:
    """Keeps every record that it gets. In this process only: with `delivery="inline"` or `"thread"`."""

    def __init__(self, options: SinkOptions) -> None: ...

    @hookimpl
    def open_run(self, run: RunContext) -> Link:
        """Begin to record, or go on with a run that was recorded before."""
        self._run = run
        self._recording = _recordings.setdefault(run.folder, Recording())
        if not self._recording.records:
            self._recording.add(run.start)
        return Link(id=run.start.run_id, location=str(run.folder))

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Keep them."""
        self._keep(params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Keep them."""
        self._keep(metrics)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Keep them."""
        self._keep(tags)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Keep them, and their content, since the run's own copy goes with the run."""
        for artifact in artifacts:
            self._recording.add(artifact)
            self._recording.put(artifact.name, self._run.locate(artifact))

    @hookimpl
    def flush(self) -> dict[str, Any]:
        """Memory needs no checkpoint."""
        return {}

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """Keep it."""
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

    def _keep(self) -> None:
        """The folder goes, so that another run may have its name."""
        self._kept = self._all()
        for folder in [folder for folder in _recordings if folder.is_relative_to(self._root)]:
            del _recordings[folder]


@contextlib.contextmanager
def recorded() -> Iterator[Recordings]:
    """Record the runs that are started within; look at what it yields afterwards, or within.

    Such a run logs to memory instead of what `unitrack.yaml` says, delivers in the log call itself, and lies in a
    folder that is gone afterwards. A `sinks=`, `delivery=` or `root=` that the code passes to `start_run` holds as
    ever, so let configuration say those. One `recorded()` at a time: it sets environment variables.
    """
    plugins = installed()
    plugins._load(EntryPoint(NAME, __name__))  # not an installed one: nobody else is to see it
    with tempfile.TemporaryDirectory(prefix="unitrack-recorded-") as folder:
        runs = Recordings(Path(folder).resolve())
        variables = {"UNITRACK_SINKS": NAME, "UNITRACK_DELIVERY": "inline", "UNITRACK_ROOT": folder}
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield runs
        finally:
            runs._keep()
            plugins._backends.pop(NAME, None)
            plugins._manager.unregister(name=NAME)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
