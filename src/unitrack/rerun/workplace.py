"""The temporary folder of a rerun, which is removed however the rerun ends."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end this process, besides Ctrl-C."""


class Workplace:
    """A temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_kept = False
        """Whether it stays, with the work tree in it. A program that was never started leaves nothing to look at."""


@contextlib.contextmanager
def new_workplace() -> Iterator[Workplace]:
    """Yield a new temporary folder, and remove it afterwards unless it is kept by then.

    Until then SIGTERM and SIGHUP raise `SystemExit`, so that what was begun is undone.
    """
    with _ended_by_exceptions():
        place = Workplace(Path(tempfile.mkdtemp(prefix="unitrack-rerun-")))
        try:
            yield place
        finally:
            if not place.is_kept:
                with undisturbed():
                    shutil.rmtree(place.folder, ignore_errors=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP for the moment that it takes to clean up; git, started here, does too."""
    with handlers(dict.fromkeys((signal.SIGINT, *ENDING), signal.SIG_IGN)):
        yield


@contextlib.contextmanager
def _ended_by_exceptions() -> Iterator[None]:
    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    with handlers({number: end for number in ENDING if signal.getsignal(number) is signal.SIG_DFL}):
        yield


@contextlib.contextmanager
def handlers(wanted: dict[signal.Signals, Any]) -> Iterator[None]:
    """Set handlers of signals, and put the former ones back; a signal that is ignored, as by `nohup`, stays so.

    In another thread than the main one nothing is set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    obeyed = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, wanted[number]) for number in obeyed}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
