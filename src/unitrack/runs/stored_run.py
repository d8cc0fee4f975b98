"""One run as a backend holds it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from unitrack.hookspecs import Source
from unitrack.records import AnyRecord, Artifact, Metrics, RunStart, RunStatus
from unitrack.runs.contents import Contents
from unitrack.runs.errors import NotFoundError
from unitrack.runs.location import Location
from unitrack.runs.reading import read_records
from unitrack.runs.summary import MetricSummary


class Point(NamedTuple):
    """One point of a metric."""

    step: int
    value: float
    time: int
    """When it was logged, in milliseconds since the epoch."""


class StoredRun:
    """One run as a backend holds it: who it is at once, all else read when it is first asked for.

    The first look at params, tags, metrics, artifacts, status or end reads the records once, keeping no points; what it
    found stays, so a run that is still going on is asked for again with `unitrack.runs`. `history` and `records` read
    anew each time. Where reading fails, all of them raise `SourceError`.
    """

    def __init__(self, source: Source, location: Location, start: RunStart, key: str | None = None) -> None:
        self._source = source
        self._key = start.run_id if key is None else key
        self.location = location
        self.id = start.run_id
        """The run's id in the backend."""
        self.name = start.name
        self.project = start.project
        self.description = start.description
        self.started = start.time
        """Milliseconds since the epoch; 0 if the backend does not know."""

    def __repr__(self) -> str:
        return f"<StoredRun {self.name!r}, {self.id!r} in {str(self.location)!r}>"

    @cached_property
    def _contents(self) -> Contents:
        return Contents.of(self.records())

    @property
    def status(self) -> RunStatus:
        """How it ended; "running" as long as the backend has no end of it."""
        return self._contents.status

    @property
    def ended(self) -> int | None:
        """Milliseconds since the epoch; None as long as the backend has no end of it."""
        return self._contents.ended

    @property
    def params(self) -> Mapping[str, Any]:
        """Hyperparameters with the names of the leaves: "model.depth"; of several values of one the last."""
        return MappingProxyType(self._contents.params)

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags; of several values of one the last."""
        return MappingProxyType(self._contents.tags)

    @property
    def metrics(self) -> Mapping[str, MetricSummary]:
        """Each metric in short, in the order of their first points."""
        return MappingProxyType(self._contents.metrics)

    @property
    def summary(self) -> dict[str, float]:
        """The last value of each metric: that at its highest step, of several there the one logged last."""
        return {name: one.last for name, one in self._contents.metrics.items() if one.last is not None}

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Files and folders. `Artifact.file` is an absolute path where the file lies on this machine, else a URI."""
        return tuple(self._contents.artifacts.values())

    def history(self, name: str) -> list[Point]:
        """Every point of a metric in the order of logging, as exact as the backend holds them: nothing is sampled.

        Raises `NotFoundError`, naming what is near, if the run has no such metric.
        """
        points: list[Point] = []
        names: set[str] = set()
        for record in self.records():
            if isinstance(record, Metrics):
                values = record.values()
                names.update(values)
                if name in values:
                    points.append(Point(record.step, values[name], record.time))
        if not points:
            raise NotFoundError(_no_such_metric(name, sorted(names), self.name))
        return points

    def records(self) -> Iterator[AnyRecord]:
        """All records of the run, streaming."""
        return read_records(self._source, self.location, self._key)


def _no_such_metric(name: str, known: list[str], run: str) -> str:
    if not known:
        return f"run {run!r} has no metrics"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
    return f"run {run!r} has no metric {name!r}: {hint}"
