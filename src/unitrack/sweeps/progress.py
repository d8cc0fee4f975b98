"""The progress of a sweep on standard error: a live table on a terminal, a line for each trial elsewhere.

The counts and the best trial are those of all agents that share the study; the lines are for the trials of this one.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from unitrack.sweeps.outcome import TrialResult
from unitrack.sweeps.overview import Overview, trial_columns
from unitrack.terminal.console import fit, make_console, table_of, visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_ROWS = 12
"""Trials in the live table, the last that began."""
_READ_EVERY_S = 1.0


class Progress(Protocol):
    """Shows trials as they end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, trial: TrialResult) -> None:
        """Show a trial of this agent that has ended."""


class Lines:
    """A line for each trial, for logs and pipes."""

    def __init__(self, overview: Overview, *, is_transient: bool) -> None:
        self._overview = overview
        self._is_transient = is_transient

    def __enter__(self) -> Self:
        if self._overview.ended:
            self._say(f"sweep {self._overview.name} goes on: {self._overview.line()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._is_transient:
            self._overview.renew()
            self._say(f"sweep {self._overview.name}: {self._overview.line()}")

    def show(self, trial: TrialResult) -> None:
        """Print a line."""
        self._overview.renew()
        self._say(f"sweep {self._overview.name}: {self._overview.outcome(trial)}; {self._overview.counts()}")

    def _say(self, text: str) -> None:
        print(visible(text), file=sys.stderr, flush=True)


class LiveTable:
    """A table of the last trials and a line with the best one, renewed in place."""

    def __init__(self, overview: Overview, *, is_transient: bool) -> None:
        self._overview = overview
        self._is_transient = is_transient
        self._console = make_console(stderr=True)
        self._live: Live | None = None
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, name="unitrack-progress", daemon=True)

    def __enter__(self) -> Self:
        from rich.live import Live  # noqa: PLC0415  # rich costs 24 ms

        self._live = Live(self._renderable(), console=self._console, auto_refresh=False, transient=self._is_transient)
        self._live.start()
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._reader.join(_READ_EVERY_S)
        self._show()
        if self._live is not None:
            self._live.stop()

    def show(self, trial: TrialResult) -> None:
        """Show the trials as they are now."""
        self._show()

    def _read(self) -> None:
        """Show now and then what other agents do."""
        while not self._over.wait(_READ_EVERY_S):
            self._show()

    def _show(self) -> None:
        with contextlib.suppress(Exception):  # the table is a help: without it the sweep goes on as well
            self._overview.renew()
            if self._live is not None:
                self._live.update(self._renderable(), refresh=True)

    def _renderable(self) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415  # rich costs 24 ms
        from rich.text import Text  # noqa: PLC0415  # beside Group

        overview = self._overview
        title = visible(f"sweep {overview.name}: {overview.line()}")
        columns = trial_columns(overview.trials[-_ROWS:], overview.metric)
        table = [table_of(fit(columns, self._console.width))] if overview.trials else []
        return Group(Text(title, no_wrap=True, overflow="ellipsis"), *table)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing."""

    def show(self, trial: TrialResult) -> None:
        """Do nothing."""


def make_progress(overview: Overview, *, is_shown: bool = True, is_transient: bool = False) -> Progress:
    """Return what suits standard error. `is_transient`: at the end nothing is left of it, since a table follows."""
    if not is_shown:
        return Silent()
    kind = LiveTable if sys.stderr.isatty() else Lines
    return kind(overview, is_transient=is_transient)
