"""The thread that watches the live runs of a process: it syncs journals, restarts couriers, and warns of trouble."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from unitrack.errors import warn_from_thread
from unitrack.limits import BEAT_S, HOUSEKEEPING_S, SYNC_INTERVAL_S
from unitrack.run.live_run import LiveRun, Trouble


class Housekeeper(threading.Thread):
    """The daemon thread of a process that watches its runs; it works for microseconds per second."""

    def __init__(self, runs: Sequence[LiveRun], is_needed: Callable[[Housekeeper], bool]) -> None:
        """`runs`: the live runs, changed by other threads. `is_needed`: called before each round, False ends it."""
        super().__init__(name="unitrack-housekeeper", daemon=True)
        self._runs = runs
        self._is_needed = is_needed
        self._synced_at = self._beat_at = time.monotonic()
        self._warned: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Watch the live runs until there are none."""
        while True:
            time.sleep(HOUSEKEEPING_S)
            if not self._is_needed(self):
                return
            try:
                self._look_around()
            except MemoryError:  # training may handle its own `MemoryError` and go on
                continue
            except Exception as error:  # reported, or couriers would stay dead and journals unsynced without notice
                name = type(error).__name__
                failed = (
                    "looking after the runs failed; training goes on, nothing is lost, and it is tried again every "
                    f"{HOUSEKEEPING_S:g} s: {name}: {error}"
                )
                self._warn_once("", Trouble(name, failed))

    def _look_around(self) -> None:
        from unitrack.delivery.courier.pool import pool  # noqa: PLC0415  # subprocess costs 4 ms; `start_run` has imported it

        with contextlib.suppress(OSError):
            pool.revive()
        now = time.monotonic()
        if now - self._beat_at >= BEAT_S:
            self._beat_at = now
            for run in list(self._runs):
                run.beat()
        is_sync_due = now - self._synced_at >= SYNC_INTERVAL_S
        for run in list(self._runs):
            if is_sync_due and (trouble := run.sync()) is not None:
                self._warn_once(run.id, trouble)
            for trouble in run.tend():
                self._warn_once(run.id, trouble)
        if is_sync_due:
            self._synced_at = time.monotonic()

    def _warn_once(self, run_id: str, trouble: Trouble) -> None:
        if (run_id, trouble.about) not in self._warned:
            self._warned.add((run_id, trouble.about))
            warn_from_thread(trouble.text, trouble.category)
