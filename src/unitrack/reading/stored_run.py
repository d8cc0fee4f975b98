"""One run as a backend holds it."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unitrack.environment.snapshot import is_environment, recorded_environment
from unitrack.errors import NotFoundError, SourceError
from unitrack.hookspecs import Link, MetricSummary, RunSummary
from unitrack.names import nearest
from unitrack.reading.digests import digests_of
from unitrack.reading.fetching import fetch_artifact
from unitrack.reading.guard import GuardedSource
from unitrack.reading.history import History
from unitrack.records import (
    AnyRecord,
    Artifact,
    MetricDefinition,
    Related,
    RunStart,
    RunStatus,
    definition_for,
    metric_definitions,
)
from unitrack.terminal.console import visible
from unitrack.terminal.notebook import html_table
from unitrack.validation.arguments import as_path, as_text


class StoredRun(Related):
    """One run as a backend holds it. Its identity is known from the start; all else is read when it is first needed.

    Params, tags, summary, status and end are read in the way that is cheapest for the backend; metrics and artifacts
    take one pass over the records if the backend does not have them at hand. No points are kept. What was read stays:
    to see how a running run goes on, call `unitrack.runs` again. `history` and `records` read anew each time. All of
    them raise `SourceError` if reading fails.
    """

    def __init__(
        self, source: GuardedSource, start: RunStart, key: str | None = None, known: RunSummary | None = None
    ) -> None:
        """`key` is the id to read the run by, where it was found by another one than `start.run_id`.

        `known` is what `Source.summaries` gave with it.
        """
        self._source = source
        self._key = start.run_id if key is None else key
        self._known = known
        self.start = start
        self.location = source.location
        self.id = start.run_id
        """The run's id in the backend."""
        self.unitrack_id = start.unitrack_id or None
        """The id that unitrack gave it; None for a run of another program, and where `id` is that one."""
        self.name = start.name
        self.project = start.project
        self.description = start.description
        self.started = start.time
        """Milliseconds since the epoch; 0 if the backend does not know."""

    @property
    def folder(self) -> Path | None:
        """The run's own folder on this machine; None if the backend keeps it elsewhere."""
        return self._source.folder(self._key)

    def __repr__(self) -> str:
        return f"<StoredRun {self.name!r}, {self.id!r} in {str(self.location)!r}>"

    def __str__(self) -> str:
        """The run in a few lines: its state, params and last metrics, read if need be."""
        lines = [f"{self.name}  {self.id}  {self.status}, in {self.location}"]
        for title, pairs in self._shown():
            lines += [title, *(f"  {name}  {value}" for name, value in pairs)] if pairs else []
        return "\n".join(visible(line) for line in lines)

    def _repr_html_(self) -> str:
        title = f"{self.name}, {self.id}: {self.status}, in {self.location}"
        rows = [(group, name, value) for group, pairs in self._shown() for name, value in pairs]
        return html_table(title, ("", "name", "value"), rows)

    def _shown(self) -> list[tuple[str, list[tuple[str, str]]]]:
        hidden = is_environment if self.environment else lambda name: False
        params = [(name, str(value)) for name, value in self.params.items() if not hidden(name)]
        metrics = [(name, f"{value:.6g}") for name, value in self.summary.items()]
        return [("params", params), ("metrics", metrics), ("tags", list(self.tags.items()))]

    @property
    def at_hand(self) -> RunSummary:
        """The run without its points, as far as the backend tells it without reading them: see `Source.summary`."""
        return self._brief

    @property
    def is_read(self) -> bool:
        """Whether params, tags and the rest that the backend has at hand were read already."""
        return self._known is not None

    def take_up(self, summary: RunSummary) -> None:
        """Keep what `Source.summaries` gave of the run, unless it was read before."""
        self._known = self._known or summary

    def statistics(self, names: Collection[str]) -> dict[str, MetricSummary]:
        """Return a summary of each of these metrics that the run has, and read the points of no others."""
        known = self._brief.metrics
        if known is not None:
            return {name: known[name] for name in names if name in known}
        wanted = [name for name in names if name in self._brief.last]
        columns = self._source.columns(self._key, wanted) if wanted else {}
        return {name: MetricSummary.of(points) for name, points in columns.items()}

    @property
    def _brief(self) -> RunSummary:
        """What the source has at hand; more if the records were read already."""
        if self._known is None:
            self._known = self._source.summary(self._key)
        return self._known

    @property
    def _whole(self) -> RunSummary:
        """All that the records tell, read unless the source has it at hand."""
        if not self._brief.is_whole:
            self._known = RunSummary.of(self.records())
        return self._brief

    @property
    def status(self) -> RunStatus:
        """How the run ended; "running" as long as the backend has no end of it."""
        return self._brief.status

    @property
    def ended(self) -> int | None:
        """Milliseconds since the epoch; None as long as the backend has no end of it."""
        return self._brief.ended

    @property
    def params(self) -> Mapping[str, Any]:
        """Hyperparameters by dotted name, such as "model.depth"; the newest value of each."""
        return MappingProxyType(self._brief.params)

    @property
    def environment(self) -> Mapping[str, Any]:
        """What `log_environment` recorded: `python_version`, `platform`, `git_hash`, `packages` by name, and the like.

        It is empty if nothing was recorded. The same values are in `params`.
        """
        return MappingProxyType(recorded_environment(self.params))

    @property
    def links(self) -> Mapping[str, Link]:
        """Where the run lies in each backend that it was delivered to, by the name of the sink.

        Only the run folder knows: it is empty for runs that are read from elsewhere.
        """
        return MappingProxyType(dict(self._source.links(self._key)))

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags by name; the newest value of each."""
        return MappingProxyType(self._brief.tags)

    @property
    def metrics(self) -> Mapping[str, MetricSummary]:
        """A summary of each metric by name, in the order of their first points."""
        known = self._brief.metrics
        return MappingProxyType((self._whole.metrics or {}) if known is None else known)

    @property
    def points_at_hand(self) -> dict[str, int] | None:
        """How many points each metric has; None if only reading them would tell."""
        known = self._brief.metrics
        return None if known is None else {name: metric.points for name, metric in known.items()}

    @property
    def summary(self) -> dict[str, float]:
        """One value of each metric: the one at its highest step and, of several there, the one logged last.

        A metric for which `define_metric` chose another summary has its least, greatest, mean or first value here.
        """
        known = metric_definitions(self.tags)
        if not any(one.summary for one in known.values()):
            return dict(self._brief.last)
        return {name: _summary_value(name, metric, known) for name, metric in self.metrics.items()}

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Files and folders. `Artifact.file` is an absolute path where the file lies on this machine, else a URI.

        Raises `SourceError` if the place where the backend keeps files can't be read.
        """
        return tuple(self._artifacts.values())

    @property
    def _artifacts(self) -> Mapping[str, Artifact]:
        known = self._brief.artifacts
        if known is None and (known := self._whole.artifacts) is None:
            raise SourceError(self._whole.artifacts_error)
        return known

    def fetch(self, artifact: Artifact | str, folder: str | os.PathLike[str]) -> Path:
        """Copy an artifact, given as such or by its name, into a folder, and return the path of the copy there.

        The folder is made, and what has that name in it is replaced. Raises `NotFoundError`, which names a similar
        artifact, if the run has no such one, and `SourceError` if it can't be read.
        """
        if not isinstance(artifact, Artifact):
            artifact = as_text(artifact, "the name of an artifact")
            known = self._artifacts
            if artifact not in known:
                raise NotFoundError(_no_such("artifact", artifact, sorted(known), self.name))
            artifact = known[artifact]
        return fetch_artifact(self._source, self._key, artifact, as_path(folder, "fetch: folder"))

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file of the artifacts, in hexadecimal, by name; the files of a folder one by one.

        Reads all of them, and fetches those that are not on this machine. Raises `SourceError` if one can't be read.
        """
        return digests_of(self._source, self._key, self.artifacts)

    def history(self, name: str) -> History:
        """Return every point of a metric in the order of logging, as exact as the backend holds it; none is left out.

        Raises `NotFoundError`, which names a similar metric, if the run has no such one.
        """
        name = as_text(name, "the name of a metric")
        columns = self._source.columns(self._key, (name,)).get(name)
        if columns is None:
            raise NotFoundError(_no_such("metric", name, sorted(self._brief.last), self.name))
        return History(name, columns)

    def histories(self, names: Collection[str] | None = None) -> dict[str, History]:
        """Return every point of several metrics, or of all, in one pass; metrics that the run lacks are left out."""
        return {name: History(name, columns) for name, columns in self._source.columns(self._key, names).items()}

    def records(self) -> Iterator[AnyRecord]:
        """Yield all records of the run, one at a time."""
        return self._source.records(self._key)


def _summary_value(name: str, metric: MetricSummary, known: Mapping[str, MetricDefinition]) -> float:
    definition = definition_for(name, known)
    kind = definition.summary if definition and definition.summary else "last"
    value: float | None = getattr(metric, kind)
    return math.nan if value is None else value  # the least of points that are all NaN


def _no_such(what: str, name: str, known: list[str], run: str) -> str:
    if not known:
        return f"run {run!r} has no {what}s"
    meant = nearest(name, known)
    hint = f"did you mean {meant!r}?" if meant else f"it has {', '.join(known)}"
    return f"run {run!r} has no {what} {name!r}: {hint}"
