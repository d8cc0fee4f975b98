"""A plugin as its author writes it, for mypy; see `training.py`. Nothing here is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from unitrack import hookimpl
from unitrack.errors import RecordRejectedError, SinkUnavailableError
from unitrack.hookspecs import Backend, Checkpoint, Finding, Link, RunContext, SinkOptions, Source
from unitrack.records import AnyRecord, Artifact, Metrics, RunStart


class PileOptions(SinkOptions, frozen=True):
    """The options of the sink."""

    folder: str = "pile"


class PileSink:
    """Writes what it gets to a file."""

    def __init__(self, options: PileOptions) -> None:
        self._folder = Path(options.folder)

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Begin, or go on."""
        assert_type(run.start, RunStart)
        assert_type(run.notes, Path)
        if not self._folder.exists():
            raise SinkUnavailableError("the pile is away", retry_after=3.0)
        return Link(id=run.start.run_id, location=str(self._folder))

    @hookimpl
    def write_metrics(self, records: list[Metrics]) -> None:
        """Take points."""
        for record in records:
            assert_type(record.values(), dict[str, float])

    @hookimpl
    def write_artifact(self, artifact: Artifact) -> None:
        """Take a file."""
        raise RecordRejectedError(f"no room for {artifact.name}")


class PileSource(Source):
    """Reads it back."""

    def __init__(self, location: str) -> None:
        self._folder = Path(location)

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs."""
        yield from ()

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield what a run holds."""
        yield from ()


class HalfASource(Source):
    """Lacks `records`."""

    def __init__(self, location: str) -> None:
        pass

    def runs(self) -> Iterator[RunStart]:
        """Yield the runs."""
        yield from ()


def check(options: PileOptions) -> Iterator[Finding]:
    """Whether the sink can be used."""
    yield Finding(True, "folder", options.folder)


@hookimpl
def register_backends() -> list[Backend]:
    """Declare the backend."""
    HalfASource("pile")  # type: ignore[abstract]
    Backend(name="pile", sinks="unitrack_pile:PileSink")  # type: ignore[call-arg]
    return [
        Backend(
            name="pile",
            summary="a pile of files",
            sink="unitrack_pile:PileSink",
            source="unitrack_pile:PileSource",
            options=PileOptions,
            check="unitrack_pile:check",
        )
    ]
