"""The state of a run's delivery, from its ledgers, its journal and the processes of this machine."""

from __future__ import annotations

import os
import time
from typing import Literal, get_args

import msgspec

from unitrack.delivery.ledger import LaneState, Ledger, lines_after
from unitrack.delivery.report import sink_report
from unitrack.journal.lines import Damage
from unitrack.records import EndStatus
from unitrack.runfolder.manifest import Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import read_regular
from unitrack.system.life import Life
from unitrack.validation.refusals import Refusal
from unitrack.values.codec import decode

_STUCK_S = 60.0  # a large upload takes as long; nothing else does

Status = Literal["running", "ended", "finished", "failed", "killed", "pruned"]
"""`ended`: no process logs to the run any more, and not every sink has confirmed how it ended."""

_ENDED: dict[str, Status] = {one: one for one in get_args(EndStatus)}


class SinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One sink of a run; counts are journal records (one a log call)."""

    sink: str
    backend: str
    state: LaneState
    delivered: int
    pending: int
    dead_lettered: int
    damaged: int
    damages: tuple[Damage, ...]
    """The first of the places that `damaged` counts."""
    last_error: str | None
    attempts: int
    """Failures in a row; 0 where all is well."""
    stuck_since: int | None
    """Since when a process delivers without progress, in milliseconds since the epoch; None if it makes some."""
    next_retry: int | None
    """Milliseconds since the epoch; None if no process will retry."""
    delivering_pid: int | None
    """The process that delivers now."""

    @property
    def is_whole(self) -> bool:
        """Whether the backend has everything."""
        return self.state == "complete" and not (self.dead_lettered or self.damaged)


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its sinks."""

    run_id: str
    name: str
    project: str
    folder: str
    """The run folder, absolute."""
    started: int
    """Milliseconds since the epoch."""
    status: Status
    owner_pid: int
    owner_host: str
    owner_life: Literal["alive", "gone", "unknown"]
    owner_silent_for: float | None
    """Seconds since the owner's last sign of life; None if it gave none."""
    sinks: tuple[SinkState, ...]
    refused: tuple[Refusal, ...] = ()
    """Points that log calls did not take, by metric."""

    @property
    def is_complete(self) -> bool:
        """Whether every sink has confirmed the end of the run."""
        return all(sink.state == "complete" for sink in self.sinks)

    @property
    def needs_sync(self) -> bool:
        """Whether something is left that no process delivers."""
        return any(sink.state != "complete" and sink.delivering_pid is None for sink in self.sinks)


def read_run_state(folder: RunFolder) -> RunState:
    """Return the state of a run. Raises `JournalError` if its manifest is missing or damaged."""
    manifest = folder.read_manifest()
    sinks = tuple(_sink_state(folder, manifest, spec) for spec in manifest.sinks)
    return RunState(
        run_id=manifest.run.run_id,
        name=manifest.run.name,
        project=manifest.run.project,
        folder=str(folder.path.resolve()),
        started=manifest.run.time,
        status=_status(folder, manifest, sinks),
        owner_pid=manifest.owner.pid,
        owner_host=manifest.owner.host,
        owner_life=folder.life_of(manifest.owner).value,
        owner_silent_for=folder.silent_for(manifest.owner),
        sinks=sinks,
        refused=read_refusals(folder),
    )


def read_refusals(folder: RunFolder) -> tuple[Refusal, ...]:
    """Return which points the log calls of a run did not take, by metric; none if the file can't be read."""
    try:
        return decode(read_regular(folder.refused_file), tuple[Refusal, ...])
    except (OSError, ValueError):
        return ()


def _sink_state(folder: RunFolder, manifest: Manifest, spec: SinkEntry) -> SinkState:
    ledger = Ledger.load(folder.ledger_file(spec.name))  # read once: a lane may write it at any moment
    report = sink_report(folder, manifest, spec.name, ledger)
    owner = manifest.owner.writer
    complete = ledger.ended_writer == owner and not ledger.late(folder, owner)
    pid = None if complete else _delivering_pid(folder, report.sink, ledger)
    state = ledger.state
    if complete:
        state = "complete"
    elif state == "complete" or (pid is None and state != "parked"):
        state = "pending"  # the run was resumed, or the process that delivered has died
    return SinkState(
        sink=report.sink,
        backend=spec.backend,
        state=state,
        delivered=report.delivered,
        pending=0 if complete else report.pending,
        dead_lettered=report.dead_lettered,
        damaged=report.damaged,
        damages=report.damages,
        last_error=report.last_error,
        attempts=0 if complete else ledger.attempts,
        stuck_since=_stuck_since(folder, ledger, report.sink) if state == "delivering" else None,
        next_retry=ledger.retry_at if pid is not None else None,
        delivering_pid=pid,
    )


def _stuck_since(folder: RunFolder, ledger: Ledger, sink: str) -> int | None:
    """Return when the ledger was written last, if the lane has had something to do for `_STUCK_S` since."""
    try:
        written = folder.ledger_file(sink).stat().st_mtime
    except OSError:
        return None
    is_stuck = time.time() - written > _STUCK_S and lines_after(folder, ledger.accepted) > 0
    return int(written * 1000) if is_stuck else None


def _delivering_pid(folder: RunFolder, sink: str, ledger: Ledger) -> int | None:
    """Return the process that the ledger names, if the sink's lock is held, which every pid namespace can see."""
    if ledger.pid is None or ledger.pid == os.getpid() or ledger.state in ("pending", "complete"):
        return None
    return ledger.pid if folder.is_delivered(sink) else None


def _status(folder: RunFolder, manifest: Manifest, sinks: tuple[SinkState, ...]) -> Status:
    if all(sink.state == "complete" for sink in sinks) and sinks:
        return _ENDED[Ledger.load(folder.ledger_file(sinks[0].sink)).status or "failed"]
    if folder.life_of(manifest.owner) is not Life.GONE and folder.spool.exists() and not folder.ended_file.exists():
        return "running"
    return "ended"
