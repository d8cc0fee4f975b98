"""The report of a copy: what became of each run, and what the destination can't hold as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from unitrack.hookspecs import Backend, Link
from unitrack.limits import MAX_LINE_BYTES
from unitrack.manager.marks import Marks
from unitrack.records import AnyRecord, Artifact, Metrics, Params, Tags, flatten
from unitrack.runfolder.manifest import LaneSpec
from unitrack.system.files import open_regular
from unitrack.values.codec import decode

CopyState = Literal["copied", "went on", "already there", "incomplete", "failed", "would be copied", "would go on"]
"""`went on`: a copy that was incomplete, or whose run has grown, is now complete. `incomplete`: the destination did not
take everything yet; copying again goes on. `failed`: nothing was changed, see `error`."""
_SHOWN = 5
"""Refused records that are named."""


class CopiedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run. Counts are those of the copy, after edits."""

    name: str
    id: str
    """In the source; several of a merged run."""
    copy_id: str
    """The id that unitrack gives the copy."""
    state: CopyState
    metrics: int = 0
    points: int = 0
    params: int = 0
    artifacts: int = 0
    renamed: Mapping[str, str] = {}
    dropped: tuple[str, ...] = ()
    cut: int = 0
    """Points and artifacts beyond the last step."""
    refused: tuple[str, ...] = ()
    """Records that the backend refused for good, with its reason."""
    missing: Mapping[str, str] = {}
    """Artifacts whose content the source could not give, with the reason."""
    notes: tuple[str, ...] = ()
    """What the destination holds in another form."""
    error: str | None = None
    link: Link | None = None
    """Where the copy lies."""
    folder: str | None = None
    """The run folder that keeps the account of the copy."""

    @property
    def has_arrived(self) -> bool:
        """Whether the end of the run is confirmed; some records may have been refused."""
        return self.state in ("copied", "went on", "already there")

    @property
    def ok(self) -> bool:
        """Whether everything has arrived, or would be tried."""
        return self.state not in ("incomplete", "failed") and not self.refused and not self.missing


class CopyReport(msgspec.Struct, frozen=True):
    """What became of each run of a copy, in the order of copying."""

    source: str
    destination: str
    runs: tuple[CopiedRun, ...]
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything of all runs has arrived."""
        return all(run.ok for run in self.runs)

    def __str__(self) -> str:
        counts: dict[str, int] = {}
        for run in self.runs:
            counts[run.state] = counts.get(run.state, 0) + 1
        said = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no runs"
        return f"{self.source} to {self.destination}: {said}"


class CopyProgress(msgspec.Struct, frozen=True):
    """How far a copy has come."""

    run: int
    """The number of the current run, from 0."""
    runs: int
    """All that are copied."""
    name: str
    delivered: float | None
    """Which part of the current run is delivered, from 0 to 1; None while it is read."""
    points: int
    """Points of the current run that are read."""


def shortcomings(backend: Backend, lane: LaneSpec, marks: Marks) -> tuple[str, ...]:
    """Return what a destination holds in another form, by the declarations of its backend and the sink's options."""
    found = [f"the sink's option {one.name!r} changes what it gets" for one in lane.middleware]
    if marks.non_finite and backend.non_finite == "marked":
        found.append(f"{backend.name} holds NaN and infinity in a marked form")
    if marks.points and not backend.exact_floats:
        found.append(f"{backend.name} does not hold float64 values bit for bit")
    plain = sorted(marks.kinds.keys() - {*backend.native, "file", "folder"})
    if plain and not backend.keeps_run_folder:
        found.append(f"{backend.name} shows artifacts of these kinds as plain files: {', '.join(plain)}")
    return tuple(found)


class _Letter(msgspec.Struct, frozen=True):
    error: str
    record: AnyRecord


def refused_records(path: Path) -> tuple[str, ...]:
    """Return the dead letters in a file, each in one line, the first few by name."""
    letters = list(_letters(path))
    named = [f"{_described(letter.record)}: {letter.error}" for letter in letters[:_SHOWN]]
    more = len(letters) - len(named)
    return (*named, f"and {more} more in {path}") if more else tuple(named)


def _letters(path: Path) -> Iterator[_Letter]:
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            with contextlib.suppress(ValueError, RecursionError):
                yield decode(line, _Letter)


def _described(record: AnyRecord) -> str:
    match record:
        case Metrics():
            return f"points of {', '.join(record.values())} at step {record.step}"
        case Params():
            return f"params {', '.join(flatten(record.params))}"
        case Tags():
            return f"tags {', '.join(record.tags)}"
        case Artifact():
            return f"artifact {record.name}"
    return record.__class__.__name__
