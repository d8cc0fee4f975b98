"""Displays of runs in a notebook that are renewed every second and after each cell, until the run has ended."""

from __future__ import annotations

import threading
from typing import Any

from IPython.display import display

from unitrack.run.cells import current_cell
from unitrack.run.current import current_run, started
from unitrack.run.run import Run

RENEWED_EVERY_S = 1.0


class LiveDisplay:
    """Shows the runs that cells start. In a terminal, which can't renew what it has shown, it shows them once."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._can_renew = hasattr(shell, "kernel")
        self._shown: list[tuple[Run, Any]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        started.listeners.append(self._show)
        shell.events.register("post_run_cell", self._renew)
        if (run := current_run()) is not None:
            self._show(run)

    def close(self) -> None:
        """Show nothing any more."""
        self._closed.set()
        started.listeners.remove(self._show)
        self._shell.events.unregister("post_run_cell", self._renew)

    def _show(self, run: Run) -> None:
        if current_cell() is None:  # a thread, which has no cell to show it in
            return
        handle = display(run, display_id=True)
        if not self._can_renew or handle is None:
            return
        with self._lock:
            self._shown.append((run, handle))
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="unitrack-live-display", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while not self._closed.wait(RENEWED_EVERY_S):
            self._renew()

    def _renew(self, *_: Any) -> None:
        """Renew what is shown; a run that has ended for the last time."""
        with self._lock:
            shown = self._shown
            self._shown = [(run, handle) for run, handle in shown if not run.has_ended]
            for run, handle in shown:
                handle.update(run)
