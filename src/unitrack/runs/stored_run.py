"""One run as a backend holds it."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from unitrack.errors import ArtifactStoreError
from unitrack.hookspecs import RunSummary, Source
from unitrack.metric_definitions import Definition, definition_for, definitions
from unitrack.records import GROUP, JOB_TYPE, PARENT, AnyRecord, Artifact, Metrics, RunStart, RunStatus
from unitrack.runs.bringing import bring
from unitrack.runs.contents import Contents
from unitrack.runs.errors import NotFoundError, SourceError
from unitrack.runs.location import Location
from unitrack.runs.reading import read_folder, read_records, read_summary
from unitrack.runs.summary import MetricSummary
from unitrack.validation.arguments import as_path, as_text


class Point(NamedTuple):
    """One point of a metric."""

    step: int
    value: float
    time: int
    """When it was logged, in milliseconds since the epoch."""


class StoredRun:
    """One run as a backend holds it: who it is at once, all else read when it is first asked for.

    The first look at metrics or artifacts reads the records once, keeping no points; so does that at params, tags,
    summary, status or end, unless the backend has those at hand. What was found stays, so a run that is still going on
    is asked for again with `unitrack.runs`. `history` and `records` read anew each time. Where reading fails, all of
    them raise `SourceError`.
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

    @property
    def folder(self) -> Path | None:
        """The run's own folder; None if the backend keeps it elsewhere than in a folder of this machine."""
        return read_folder(self._source, self.location, self._key)

    @property
    def group(self) -> str | None:
        """The group of runs that it belongs to."""
        return self.tags.get(GROUP)

    @property
    def job_type(self) -> str | None:
        """What it did in its group."""
        return self.tags.get(JOB_TYPE)

    @property
    def parent(self) -> str | None:
        """The id of the run that it is a part of."""
        return self.tags.get(PARENT)

    def __repr__(self) -> str:
        return f"<StoredRun {self.name!r}, {self.id!r} in {str(self.location)!r}>"

    @cached_property
    def _contents(self) -> Contents:
        return Contents.of(self.records())

    @cached_property
    def _brief(self) -> RunSummary:
        """All but what only the records tell."""
        found = None
        if "_contents" not in self.__dict__:  # else the records were read already
            found = read_summary(self._source, self.location, self._key)
        return self._contents.in_short() if found is None else found

    @property
    def status(self) -> RunStatus:
        """How it ended; "running" as long as the backend has no end of it."""
        return self._brief.status

    @property
    def ended(self) -> int | None:
        """Milliseconds since the epoch; None as long as the backend has no end of it."""
        return self._brief.ended

    @property
    def params(self) -> Mapping[str, Any]:
        """Hyperparameters with the names of the leaves: "model.depth"; of several values of one the last."""
        return MappingProxyType(self._brief.params)

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags; of several values of one the last."""
        return MappingProxyType(self._brief.tags)

    @property
    def metrics(self) -> Mapping[str, MetricSummary]:
        """Each metric in short, in the order of their first points."""
        return MappingProxyType(self._contents.metrics)

    @property
    def summary(self) -> dict[str, float]:
        """One value of each metric: that at its highest step, of several there the one logged last.

        Of metrics of which `define_metric` said so it is the least, the greatest, the mean or the first.
        """
        known = definitions(self.tags)
        if not any(one.summary for one in known.values()):
            return dict(self._brief.last)
        return {name: _of_whole_run(name, metric, known) for name, metric in self.metrics.items()}

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Files and folders. `Artifact.file` is an absolute path where the file lies on this machine, else a URI.

        Raises `SourceError` if the place where the backend keeps files can't be read.
        """
        if (error := self._contents.no_artifacts) is not None:
            raise SourceError(str(error)) from error
        return tuple(self._contents.artifacts.values())

    def fetch(self, artifact: Artifact | str, folder: str | os.PathLike[str]) -> Path:
        """Bring an artifact, or the one of this name, into a folder, which is made; where it lies there, by its name.

        What is there already under that name is replaced. Raises `NotFoundError`, naming what is near, if the run has
        no such artifact, and `SourceError` if it can't be brought here.
        """
        if not isinstance(artifact, Artifact):
            artifact = as_text(artifact, "the name of an artifact")
            known = self._contents.artifacts
            if artifact not in known:
                raise NotFoundError(_no_such("artifact", artifact, sorted(known), self.name))
            artifact = known[artifact]
        return bring(self._source, self.location, self._key, artifact, as_path(folder, "fetch: folder"))

    def history(self, name: str) -> list[Point]:
        """Every point of a metric in the order of logging, as exact as the backend holds them: nothing is sampled.

        Raises `NotFoundError`, naming what is near, if the run has no such metric.
        """
        name = as_text(name, "the name of a metric")
        points: list[Point] = []
        names: set[str] = set()
        with contextlib.suppress(ArtifactStoreError):  # artifacts come last, and can't be listed
            for record in self.records():
                if isinstance(record, Metrics):
                    values = record.values()
                    names.update(values)
                    if name in values:
                        points.append(Point(record.step, values[name], record.time))
        if not points:
            raise NotFoundError(_no_such("metric", name, sorted(names), self.name))
        return points

    def records(self) -> Iterator[AnyRecord]:
        """All records of the run, streaming."""
        return read_records(self._source, self.location, self._key)


def _of_whole_run(name: str, metric: MetricSummary, known: Mapping[str, Definition]) -> float:
    definition = definition_for(name, known)
    kind = definition.summary if definition and definition.summary else "last"
    value: float | None = getattr(metric, kind)
    return math.nan if value is None else value  # the least of points that are all NaN


def _no_such(what: str, name: str, known: list[str], run: str) -> str:
    if not known:
        return f"run {run!r} has no {what}s"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
    return f"run {run!r} has no {what} {name!r}: {hint}"
