"""What `unitrack show` tells of a run: its local files in short, and the links that its ledgers hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.delivery.ledger import Ledger
from unitrack.errors import ConfigError, JournalError
from unitrack.hookspecs import Link
from unitrack.local import LocalSource
from unitrack.records import Artifact, Metrics, Params, RunEnd, RunStart, Tags, flatten
from unitrack.runfolder import Manifest, RunFolder


class Summary(msgspec.Struct):
    """One metric in short. NaN counts as a point, and is neither the least nor the greatest."""

    points: int = 0
    last: float | None = None
    """At the highest step; of several there, the one logged last."""
    last_step: int = -1
    min: float | None = None
    max: float | None = None

    def add(self, step: int, value: float) -> None:
        """Take in one point."""
        self.points += 1
        if step >= self.last_step:
            self.last, self.last_step = value, step
        if not math.isnan(value):
            self.min = value if self.min is None else min(self.min, value)
            self.max = value if self.max is None else max(self.max, value)


class RunContents(msgspec.Struct, kw_only=True):
    """One run."""

    run_id: str
    name: str
    project: str
    description: str
    path: str
    started: int
    """Milliseconds since the epoch."""
    status: str = "running"
    params: dict[str, Any] = {}
    """Flattened: "model.depth"."""
    tags: dict[str, str] = {}
    metrics: dict[str, Summary] = {}
    artifacts: list[Artifact] = []
    links: dict[str, Link] = {}


def holds_run(path: Path) -> bool:
    """Whether a folder is one of a run, of ours or in the document's layout."""
    return (path / "metadata.json").exists() or RunFolder(path).manifest_file.exists()


def read_contents(path: Path) -> RunContents:
    """What a run folder holds. Raises `ConfigError` for a run that has no local files."""
    path = path.resolve()
    manifest = _manifest(path)
    contents: RunContents | None = None
    try:
        for record in LocalSource(str(path.parent)).records(path.name):
            if isinstance(record, RunStart):
                contents = _of(record, path)
            elif contents is not None:
                _add(contents, record)
    except KeyError:
        sinks = ", ".join(spec.name for spec in manifest.sinks) if manifest else "nothing"
        raise ConfigError(
            f"{path} holds no local files: the run logs to {sinks}; "
            f"see `unitrack status {path}`, or get them with `unitrack sync {path} --to local`"
        ) from None
    assert contents is not None, "a source begins with a RunStart"
    contents.links = dict(_links(path, manifest))
    return contents


def _of(start: RunStart, path: Path) -> RunContents:
    return RunContents(
        run_id=start.run_id,
        name=start.name,
        project=start.project,
        description=start.description,
        path=str(path),
        started=start.time,
        tags=dict(start.tags),
    )


def _add(contents: RunContents, record: object) -> None:
    match record:
        case Params():
            contents.params |= flatten(record.params)
        case Metrics():
            for name, value in record.values().items():
                contents.metrics.setdefault(name, Summary()).add(record.step, value)
        case Tags():
            contents.tags |= record.tags
        case Artifact():
            contents.artifacts.append(record)
        case RunEnd():
            contents.status = record.status


def _manifest(path: Path) -> Manifest | None:
    try:
        return RunFolder(path).read_manifest()
    except JournalError:
        return None  # a folder in the document's layout that is not ours


def _links(path: Path, manifest: Manifest | None) -> Iterator[tuple[str, Link]]:
    for spec in manifest.sinks if manifest else ():
        link = Ledger.load(RunFolder(path).ledger_file(spec.name)).link
        if link is not None:
            yield spec.name, link
