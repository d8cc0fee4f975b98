"""Waiting for sinks: what `flush()` and `finish()` do after the journal is written."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import DeliveryReport, SinkReport, read_report
from unitrack.errors import DeliveryError, DeliveryWarning, warn_caller
from unitrack.journal import Position, find_writers, segment_path
from unitrack.limits import POLL_MAX_S, POLL_MIN_S
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.transfers import read_transfer, transfer_file

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery

_SHOW_AFTER_S = 1.0
_SHOW_EVERY_S = 0.25  # counting what is pending reads the journal


class RunWait:
    """The wait for one run, until every sink has what is in its journal now, or has confirmed the end of the run.

    Parked sinks are not waited for; sinks that have failed many times in a row only if `patient`. What can't be read is
    reported as unknown.
    """

    def __init__(
        self,
        folder: RunFolder,
        sinks: Iterable[str],
        delivery: Delivery,
        until: Literal["accepted", "complete"],
        *,
        patient: bool,
    ) -> None:
        self.folder = folder
        self._sinks = tuple(sinks)
        self._delivery = delivery
        self._until = until
        self._patient = patient
        self._owner: str | None = None
        self._ends: dict[str, Position] = {}
        self.sinks: list[str] = []
        """The sinks that are still waited for."""
        self._read_run()

    def _read_run(self) -> bool:
        """Read who owns the run, and where its journals end; return whether its folder could be read."""
        if self._owner is None:
            with contextlib.suppress(OSError):  # too many open files, for example
                manifest, self._ends = self.folder.read_manifest(), journal_ends(self.folder)
                self._owner, self.sinks = manifest.owner.writer, [sink.name for sink in manifest.sinks]
        return self._owner is not None

    def look(self) -> bool:
        """Let this process deliver, if it does that itself; return whether there is nothing left to wait for."""
        self._delivery.pump()
        if self._read_run():
            self.sinks = [sink for sink in self.sinks if not self._is_done(sink)]
            if not self.sinks:
                return True
        return self.folder.is_gone()

    def _is_done(self, sink: str) -> bool:
        ledger = Ledger.load(self.folder.ledger_file(sink))
        if ledger.ended_writer == self._owner or ledger.is_parked(self._owner):
            return True
        if ledger.is_hopeless(self._owner) and not self._patient:
            return True
        return self._until == "accepted" and all(
            ledger.accepted.get(writer, Position()) >= end for writer, end in self._ends.items()
        )

    def progress(self) -> list[object]:
        """Return how far the sinks have come, for comparison."""
        ledgers = [Ledger.load(self.folder.ledger_file(sink)) for sink in self.sinks]
        uploads = [read_transfer(transfer_file(self.folder.path, sink)) for sink in self.sinks]
        return [
            (ledger.positions, ledger.accepted, ledger.delivered, ledger.ended_writer, upload and upload.done)
            for ledger, upload in zip(ledgers, uploads, strict=True)
        ]

    def report(self) -> DeliveryReport:
        """Return the report as of now."""
        if self._owner is not None:
            with contextlib.suppress(OSError):
                return read_report(self.folder)
        why = "the run folder was deleted" if self.folder.is_gone() else "the run folder can't be read"
        return DeliveryReport({sink: SinkReport.unknown_for(sink, why) for sink in self._sinks})


def wait_for_runs(runs: Sequence[RunWait], deadline: float, stall: float | None = None) -> list[DeliveryReport]:
    """Wait for all runs together, at most until `deadline` of the monotonic clock, and return their reports.

    Ctrl-C ends the wait, not the delivery. With `stall` the wait also ends once no sink has made progress for that
    number of seconds. Progress is shown on a terminal if the wait takes more than a second.
    """
    waiting = list(runs)
    progressed, progressed_at = [run.progress() for run in waiting], time.monotonic()
    with _progress() as show, contextlib.suppress(KeyboardInterrupt):
        while True:
            waiting = [run for run in waiting if not run.look()]
            if not waiting or time.monotonic() >= deadline:
                break
            with contextlib.suppress(OSError):
                show(waiting)
            time.sleep(min(POLL_MAX_S, POLL_MIN_S * len(waiting)))  # each look reads the ledgers of each run
            if stall is not None:
                if (now := [run.progress() for run in waiting]) != progressed:
                    progressed, progressed_at = now, time.monotonic()
                elif time.monotonic() - progressed_at > stall:
                    break
    return [run.report() for run in runs]


def journal_ends(folder: RunFolder) -> dict[str, Position]:
    """Return where each writer's journal ends now."""
    ends: dict[str, Position] = {}
    for writer, segments in find_writers(folder.spool).items():
        with contextlib.suppress(FileNotFoundError):
            size = os.stat(segment_path(folder.spool, writer, segments[-1])).st_size
            ends[writer] = Position(segments[-1], size)
    return ends


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[list[RunWait]], None]]:
    """Yield a function to call while waiting: after a second, on a terminal, it shows what is waited for."""
    if not sys.stderr.isatty():
        yield lambda waiting: None
        return
    show_at = time.monotonic() + _SHOW_AFTER_S
    status = None

    def show(waiting: list[RunWait]) -> None:
        nonlocal status, show_at
        if time.monotonic() < show_at:
            return
        show_at = time.monotonic() + _SHOW_EVERY_S
        if status is None:
            from rich.console import Console  # noqa: PLC0415  # rich costs 24 ms
            from rich.status import Status  # noqa: PLC0415  # beside Console

            status = Status("", console=Console(stderr=True))
            status.start()
        left, uploads = Counter[str](), list[str]()
        for run in waiting:
            report = read_report(run.folder)
            left.update({sink: report[sink].pending for sink in run.sinks})
            uploads += [f"; {report[sink].transfer}" for sink in run.sinks if report[sink].transfer]
        parts = [f"{sink} ({count} to go)" for sink, count in left.items()]
        runs = f" of {len(waiting)} runs" if len(waiting) > 1 else ""
        status.update(
            f"unitrack: delivering{runs} to {', '.join(parts)}{''.join(uploads[:1])}; "
            "Ctrl-C to stop waiting, nothing is lost"
        )

    try:
        yield show
    finally:
        if status is not None:
            status.stop()


def in_trouble(sink: SinkReport) -> bool:
    """Return whether a person should know of a sink's state."""
    return sink.state in ("retrying", "parked") or bool(sink.dead_lettered or sink.damaged or sink.unknown)


def warn_of_trouble(report: DeliveryReport, path: Path, tries_on: str) -> None:
    """Warn once, at the end of a run, of all that has not arrived, and name the command that goes on.

    `tries_on`: a sentence on who goes on without it.
    """
    lacking = [sink for sink in report.sinks.values() if not sink.ok or in_trouble(sink)]
    if not lacking:
        return
    lines = "\n".join(f"  {sink}" for sink in lacking)
    if not (path / ".unitrack").exists():
        warn_caller(f"{path} was deleted: what had not arrived by then is lost.\n{lines}", DeliveryWarning)
        return
    how = (
        f"{tries_on}Go on with: unitrack sync {path}"
        if any(sink.pending for sink in lacking)
        else f"See: unitrack status {path}"
    )
    warn_caller(f"not everything has arrived yet; nothing is lost.\n{lines}\n{how}", DeliveryWarning)


def raise_for_trouble(report: DeliveryReport, *, at_end: bool = False) -> None:
    """Raise `DeliveryError` if a sink is in trouble or, `at_end`, lacks something: for `on_sink_error: raise`."""
    troubled = [str(sink) for sink in report.sinks.values() if in_trouble(sink) or (at_end and not sink.ok)]
    if troubled:
        raise DeliveryError("; ".join(troubled))
