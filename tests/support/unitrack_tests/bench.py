"""A run folder and lanes without a run: for tests that step a lane by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil
from unitrack_probe import ProbeOptions, Trouble

from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.ledger import Ledger, LockedLedger
from unitrack.delivery.report import SinkReport, read_report
from unitrack.journal import JournalWriter
from unitrack.limits import SEGMENT_BYTES
from unitrack.plugins.registry import installed
from unitrack.records import Artifact, Metrics, Record, RunEnd, RunStart, RunStatus
from unitrack.runfolder.manifest import LaneSpec, Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.processes import Owner


def change_ledger(folder: RunFolder, sink: str, **changes: Any) -> None:
    """Change fields of a sink's ledger on disk, to which nobody delivers now."""
    ledger = LockedLedger(folder, sink)
    assert ledger.acquire()
    ledger.update(**changes)
    assert ledger.save()
    ledger.release()


class Bench:
    """One run with a probe sink for each entry of `sinks`; each has its backend in `<root>/<name>`."""

    def __init__(
        self,
        root: Path,
        sinks: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        log_frequency: int = 1,
        owner: Owner | None = None,
        backend: str = "probe",
    ) -> None:
        self.root = root
        self.folder = RunFolder.claim(root / "runs", "bench")
        self.journal = JournalWriter(self.folder.spool, segment_bytes)
        start = RunStart(seq=0, time=now(), run_id="bench0001", name="bench", project="tests")
        served_by = installed().backend(backend)
        self.specs = [
            LaneSpec.of(name, served_by, msgspec.convert({"out": str(root / name), **options}, ProbeOptions))
            for name, options in (sinks or {"a": {}}).items()
        ]
        current = Owner.current(self.journal.writer)
        self.manifest = Manifest(
            run=start,
            owner=msgspec.structs.replace(owner, writer=current.writer) if owner else current,
            sinks=tuple(spec.entry for spec in self.specs),
            log_frequency=log_frequency,
        )
        self.folder.write_manifest(self.manifest)
        self.append(start)

    def append(self, record: Record) -> None:
        """Append a record with the next number."""
        self.journal.copy(record)

    def points(self, *values: float, name: str = "loss", first_step: int = 0) -> None:
        """Log one point for each value."""
        for step, value in enumerate(values, first_step):
            self.append(Metrics(seq=0, time=now(), step=step, metrics={name: float(value)}))

    def text(self, name: str, content: str = "text") -> None:
        """Log a file."""
        copy = self.folder.files / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(content)
        file = copy.relative_to(self.folder.path).as_posix()
        self.append(Artifact(seq=0, time=now(), name=name, file=file, type="text", size=len(content)))

    def end(self, status: RunStatus = "finished") -> None:
        """End the run."""
        self.append(RunEnd(seq=0, time=now(), status=status))

    def serve(self, *specs: LaneSpec) -> None:
        """Have the run go to these sinks instead."""
        self.specs = list(specs)
        self.manifest = msgspec.structs.replace(self.manifest, sinks=tuple(spec.entry for spec in specs))
        self.folder.write_manifest(self.manifest)

    def lane(self, name: str = "a") -> Lane:
        """A lane as a fresh courier would have it, acquired."""
        spec = next(spec for spec in self.specs if spec.name == name)
        lane = Lane(self.folder, spec)
        assert lane.acquire()
        return lane

    def report(self, name: str = "a") -> SinkReport:
        """The account of one sink."""
        return read_report(self.folder)[name]

    def ledger(self, name: str = "a") -> Ledger:
        """The ledger on disk."""
        return Ledger.load(self.folder.ledger_file(name))


def settle(lane: Lane, steps: int = 10_000, tries: int = 0) -> Progress:
    """Step a lane until it is done, has nothing to do, or waits; waits that come are skipped `tries` times.

    The short pauses before the same call is made again in place are skipped always.
    """
    for _ in range(steps):
        progress = lane.step()
        if progress is Progress.WAITING and lane.tries_again_in_place():
            lane.retry_now()
        elif progress is Progress.WAITING and tries > 0:
            tries -= 1
            lane.retry_now()
        elif progress is not Progress.MADE:
            return progress
    raise AssertionError("the lane never came to rest")


def dead_owner() -> Owner:
    """An owner that has died: a process that never had this start time."""
    process = psutil.Process(os.getpid())
    import socket

    return Owner(process.pid, process.create_time() - 1000, socket.gethostname(), "")


def trouble(hook: str, kind: str, **more: Any) -> dict[str, Any]:
    """One trouble as an option."""
    return msgspec.to_builtins(Trouble(hook=hook, kind=kind, **more))


def now() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000
