"""What `unitrack show` tells of a run, wherever it lies, and the links that the ledgers of a run folder hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.delivery.ledger import Ledger
from unitrack.errors import ConfigError, JournalError
from unitrack.hookspecs import Link
from unitrack.manifest import Manifest, SinkEntry
from unitrack.records import Artifact, RunStatus
from unitrack.runfolder import RunFolder
from unitrack.runs import MetricSummary, NotFoundError, StoredRun, runs


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
    links: Mapping[str, Link] = {}


def holds_run(path: Path) -> bool:
    """Whether a folder is one of a run: ours, or one in the layout of the local backend."""
    return (path / "metadata.json").exists() or RunFolder(path).manifest_file.exists()


def read_contents(path: Path) -> RunContents:
    """What a run folder holds. Raises `ConfigError` for a run that has no local files."""
    path = path.resolve()
    folder = RunFolder(path)
    try:
        run = runs(path).find(path.name)
    except NotFoundError:
        manifest = _manifest(folder)
        sinks = ", ".join(spec.name for spec in manifest.sinks) if manifest else "nothing"
        raise ConfigError(
            f"{path} holds no local files: the run logs to {sinks}; "
            f"see `unitrack status {path}`, or get them with `unitrack sync {path} --to local`"
        ) from None
    return contents_of(run, links={spec.name: link for spec, link in links_of(folder)})


def contents_of(run: StoredRun, links: Mapping[str, Link] | None = None) -> RunContents:
    """All of a run, read now."""
    folder = run.folder
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
        links=links or {},
    )


def links_of(folder: RunFolder) -> Iterator[tuple[SinkEntry, Link]]:
    """The sinks of a run folder that have said where the run lies, and what they said; none for one not of unitrack."""
    manifest = _manifest(folder)
    for spec in manifest.sinks if manifest else ():
        link = Ledger.load(folder.ledger_file(spec.name)).link
        if link is not None:
            yield spec, link


def _manifest(folder: RunFolder) -> Manifest | None:
    try:
        return folder.read_manifest()
    except JournalError:
        return None  # a folder in the layout of the local backend that is not ours
