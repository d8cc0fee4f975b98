"""What `unitrack show` tells of a run, wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.delivery.status import SinkState, read_refusals, read_run_state
from unitrack.hookspecs import Link
from unitrack.manager.links import links_of
from unitrack.reading import MetricSummary, StoredRun
from unitrack.records import Artifact, RunStatus, used_versions
from unitrack.runfolder.find import is_run_folder
from unitrack.runfolder.run_folder import RunFolder
from unitrack.validation.refusals import Refusal


class RunContents(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    run_id: str
    name: str
    project: str
    description: str
    folder: str | None
    """The run's own folder, absolute; None if it is in none on this machine."""
    location: str
    """Where it was read from: "BACKEND:PLACE"."""
    started: int
    """Milliseconds since the epoch, as is `ended`."""
    ended: int | None = None
    status: RunStatus = "running"
    params: Mapping[str, Any] = {}
    """Flattened: "model.depth"."""
    tags: Mapping[str, str] = {}
    metrics: Mapping[str, MetricSummary] = {}
    artifacts: tuple[Artifact, ...] = ()
    uses: Mapping[str, str] = {}
    """The versions of artifacts that the run has used, as "data:v2", with their digests."""
    links: Mapping[str, Link] = {}
    delivery: tuple[SinkState, ...] = ()
    """The state of each sink of the run, as `unitrack status` tells; none for a run that was read from elsewhere."""
    refused: tuple[Refusal, ...] = ()
    """Points that log calls did not take, by metric."""


def contents_of(run: StoredRun) -> RunContents:
    """Return everything of a run, read now, and what a run folder of unitrack tells of its delivery."""
    folder = run.folder
    is_ours = folder is not None and is_run_folder(folder)
    return RunContents(
        run_id=run.id,
        name=run.name,
        project=run.project,
        description=run.description,
        folder=None if folder is None else str(folder),
        location=str(run.location),
        started=run.started,
        ended=run.ended,
        status=run.status,
        params=dict(run.params),
        tags=dict(run.tags),
        metrics=dict(run.metrics),
        artifacts=run.artifacts,
        uses={f"{version.name}:{version.label}": version.digest for version in used_versions(run.tags)},
        links={sink.name: link for sink, link in links_of(RunFolder(folder))} if folder and is_ours else {},
        delivery=read_run_state(RunFolder(folder)).sinks if folder and is_ours else (),
        refused=read_refusals(RunFolder(folder)) if folder and is_ours else (),
    )
