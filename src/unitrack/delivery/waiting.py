"""Waiting for sinks: what `flush()` and `finish()` do after the journal is written."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import DeliveryReport, SinkReport, read_report
from unitrack.errors import DeliveryError, DeliveryWarning
from unitrack.journal import Position, find_writers, segment_path
from unitrack.limits import HOPELESS_ATTEMPTS, POLL_MIN_S
from unitrack.manifest import Manifest
from unitrack.runfolder import RunFolder
from unitrack.warning import warn_caller

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery

_SHOW_AFTER_S = 1.0
_SHOW_EVERY_S = 0.25  # counting what is pending reads the journal


def wait_for_sinks(
    folder: RunFolder,
    sinks: Iterable[str],
    delivery: Delivery,
    timeout: float,
    until: Literal["accepted", "complete"],
    *,
    patient: bool,
) -> DeliveryReport:
    """Wait until every sink has accepted what is in the journal, or confirmed the end of the run.

    Parked sinks are not waited for, and those that fail on and on only if `patient`. Ctrl-C ends the wait, not the
    delivery. Shows progress on a terminal when it takes more than a second. What can't be read is reported as unknown.
    """
    deadline = time.monotonic() + timeout
    found = _find_out(folder, deadline)
    if found is None:
        return _unknown_report(folder, sinks)
    manifest, ends = found

    def is_done(sink: str) -> bool:
        ledger = Ledger.load(folder.ledger_file(sink))
        if ledger.ended_writer == manifest.owner.writer or ledger.state == "parked":
            return True
        if ledger.state == "retrying" and ledger.attempts >= HOPELESS_ATTEMPTS and not patient:
            return True
        return until == "accepted" and all(
            ledger.accepted.get(writer, Position()) >= end for writer, end in ends.items()
        )

    waiting = [sink.name for sink in manifest.sinks]
    with _progress(folder) as show, contextlib.suppress(KeyboardInterrupt):
        while True:
            delivery.pump()
            waiting = [sink for sink in waiting if not is_done(sink)]
            if not waiting or time.monotonic() >= deadline or folder.is_gone():
                break
            with contextlib.suppress(OSError):
                show(waiting)
            time.sleep(POLL_MIN_S)
    try:
        return read_report(folder)
    except OSError:
        return _unknown_report(folder, sinks)


def _find_out(folder: RunFolder, deadline: float) -> tuple[Manifest, dict[str, Position]] | None:
    """Who owns a run, and where its journals end; None if its folder is gone or can't be read until then."""
    while not folder.is_gone():
        with contextlib.suppress(OSError):  # too many open files, say
            return folder.read_manifest(), journal_ends(folder)
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_MIN_S)
    return None


def _unknown_report(folder: RunFolder, sinks: Iterable[str]) -> DeliveryReport:
    why = "the run folder was deleted" if folder.is_gone() else "the run folder can't be read"
    return DeliveryReport({sink: SinkReport.unknown_for(sink, why) for sink in sinks})


def journal_ends(folder: RunFolder) -> dict[str, Position]:
    """Where each writer's journal ends now."""
    ends: dict[str, Position] = {}
    for writer, segments in find_writers(folder.spool).items():
        with contextlib.suppress(FileNotFoundError):
            size = os.stat(segment_path(folder.spool, writer, segments[-1])).st_size
            ends[writer] = Position(segments[-1], size)
    return ends


@contextlib.contextmanager
def _progress(folder: RunFolder) -> Iterator[Callable[[list[str]], None]]:
    """Gives a function to call while waiting: after a second, on a terminal, it says what is waited for."""
    if not sys.stderr.isatty():
        yield lambda waiting: None
        return
    show_at = time.monotonic() + _SHOW_AFTER_S
    status = None

    def show(waiting: list[str]) -> None:
        nonlocal status, show_at
        if time.monotonic() < show_at:
            return
        show_at = time.monotonic() + _SHOW_EVERY_S
        if status is None:
            from rich.console import Console
            from rich.status import Status

            status = Status("", console=Console(stderr=True))
            status.start()
        report = read_report(folder)
        parts = [f"{sink} ({report[sink].pending} to go)" for sink in waiting]
        status.update(f"unitrack: delivering to {', '.join(parts)}; Ctrl-C to stop waiting, nothing is lost")

    try:
        yield show
    finally:
        if status is not None:
            status.stop()


def in_trouble(sink: SinkReport) -> bool:
    """Whether somebody should know of it."""
    return sink.state in ("retrying", "parked") or bool(sink.dead_lettered or sink.damaged or sink.unknown)


def warn_of_trouble(report: DeliveryReport, path: Path) -> None:
    """At the end of a run: one warning for what has not arrived, and how to go on."""
    lacking = [sink for sink in report.sinks.values() if not sink.ok or in_trouble(sink)]
    if not lacking:
        return
    lines = "\n".join(f"  {sink}" for sink in lacking)
    if not (path / ".unitrack").exists():
        warn_caller(f"{path} was deleted: what had not arrived by then is lost.\n{lines}", DeliveryWarning)
        return
    how = (
        f"Go on with: unitrack sync {path}" if any(sink.pending for sink in lacking) else f"See: unitrack status {path}"
    )
    warn_caller(f"not everything has arrived yet; nothing is lost.\n{lines}\n{how}", DeliveryWarning)


def raise_for_trouble(report: DeliveryReport, *, at_end: bool = False) -> None:
    """Raise `DeliveryError` if a sink is in trouble, or `at_end` has not got everything: `on_sink_error: raise`."""
    troubled = [str(sink) for sink in report.sinks.values() if in_trouble(sink) or (at_end and not sink.ok)]
    if troubled:
        raise DeliveryError("; ".join(troubled))
