"""A run in short, gathered in one pass over its records; its size does not grow with the number of points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from unitrack.errors import ArtifactStoreError
from unitrack.hookspecs import RunSummary
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, RunStatus, Tags, flatten
from unitrack.runs.summary import MetricSummary


class Contents(msgspec.Struct, kw_only=True):
    """What the records of one run come to."""

    params: dict[str, Any] = {}
    """Flattened: "model.depth"."""
    tags: dict[str, str] = {}
    metrics: dict[str, MetricSummary] = {}
    artifacts: dict[str, Artifact] = {}
    """By name; of several of one name the last."""
    status: RunStatus = "running"
    ended: int | None = None
    """Milliseconds since the epoch."""
    no_artifacts: ArtifactStoreError | None = None
    """Why the artifacts are not known."""

    def in_short(self) -> RunSummary:
        """What a source that has it at hand would tell."""
        last = {name: one.last for name, one in self.metrics.items() if one.last is not None}
        return RunSummary(params=self.params, tags=self.tags, last=last, status=self.status, ended=self.ended)

    @classmethod
    def of(cls, records: Iterable[AnyRecord]) -> Contents:
        """Read `records` to their end, or to where a source says that it can't list artifacts."""
        contents = cls()
        try:
            for record in records:
                contents._add(record)
        except ArtifactStoreError as error:
            contents.no_artifacts = error
        return contents

    def _add(self, record: AnyRecord) -> None:
        match record:
            case RunStart():
                self.tags |= record.tags
            case Params():
                self.params |= flatten(record.params)
            case Metrics():
                for name, value in record.values().items():
                    self.metrics.setdefault(name, MetricSummary()).add(record.step, value)
            case Tags():
                self.tags |= record.tags
            case Artifact():
                self.artifacts[record.name] = record
            case RunEnd():
                self.status, self.ended = record.status, record.time
