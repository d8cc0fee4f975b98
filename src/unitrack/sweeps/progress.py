"""The progress of a sweep on standard error: a live table on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from unitrack.records import flatten
from unitrack.sweeps.outcome import TrialResult
from unitrack.terminal.console import cell, in_words, make_table, visible
from unitrack.values.plain import to_plain

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_ROWS = 8
"""The last trials that the live table shows, above the best one."""


class Progress(Protocol):
    """Shows trials as they end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, trial: TrialResult) -> None:
        """Show a trial that has ended."""


class Count:
    """How many trials have ended, and which is the best."""

    def __init__(self, name: str, metric: str, mode: str, n: int, before: list[TrialResult]) -> None:
        self.name = name
        self.metric = metric
        self.n = n
        self.ended = 0
        self.failed = 0
        self.pruned = 0
        self.best: TrialResult | None = None
        self._sign = 1 if mode == "min" else -1
        self._started = time.monotonic()
        for trial in before:
            self.add(trial)
        self._before = self.ended

    def add(self, trial: TrialResult) -> None:
        """Count a trial."""
        if trial.status == "running":
            return
        self.ended += 1
        self.failed += trial.status == "failed"
        self.pruned += trial.status == "pruned"
        if trial.status == "finished" and trial.value is not None:
            best = self.best
            if best is None or best.value is None or self._sign * trial.value < self._sign * best.value:
                self.best = trial

    def __str__(self) -> str:
        parts = [f"{self.ended} of {self.n} trials"]
        parts += [f"{count} {what}" for count, what in ((self.pruned, "pruned"), (self.failed, "failed")) if count]
        if (done := self.ended - self._before) and self.ended < self.n:
            left = (time.monotonic() - self._started) / done * (self.n - self.ended)
            parts.append(f"about {in_words(left)} left")
        return ", ".join(parts)

    def best_line(self) -> str:
        """Return the best trial so far in words."""
        if self.best is None or self.best.value is None:
            return "no trial has finished yet"
        return f"best {self.metric} {self.best.value:.6g}, trial {self.best.number}: {in_short(self.best.params)}"


def in_short(params: dict[str, Any]) -> str:
    """Return params in one line: "lr=0.001, depth=4"."""
    plain = flatten(to_plain(params))
    return visible(", ".join(f"{name}={_number(value)}" for name, value in plain.items())) or "no params"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _outcome(trial: TrialResult, metric: str) -> str:
    if trial.status == "failed":
        return f"failed: {visible(trial.error.splitlines()[0] if trial.error else 'unknown')}"
    return trial.status if trial.value is None else f"{trial.status}, {metric} {trial.value:.6g}"


class Lines:
    """A line for each trial, for logs and pipes."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def __enter__(self) -> Self:
        if self._count.ended:
            print(f"sweep {self._count.name} goes on: {self._count}; {self._count.best_line()}", file=sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        print(f"sweep {self._count.name}: {self._count}; {self._count.best_line()}", file=sys.stderr)

    def show(self, trial: TrialResult) -> None:
        """Print a line."""
        self._count.add(trial)
        text = f"sweep {self._count.name}: trial {trial.number} {_outcome(trial, self._count.metric)}"
        best = " (best so far)" if self._count.best is trial else ""
        print(f"{text}{best}; {in_short(trial.params)}; {trial.seconds:.1f} s", file=sys.stderr, flush=True)


class LiveTable:
    """A table of the last trials and the best one, renewed in place."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._last: list[TrialResult] = []
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.console import Console  # noqa: PLC0415  # rich costs 24 ms
        from rich.live import Live  # noqa: PLC0415  # beside Console

        self._live = Live(self._table(), console=Console(stderr=True), auto_refresh=False)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, trial: TrialResult) -> None:
        """Add a row."""
        self._count.add(trial)
        self._last = [*self._last[1 - _ROWS :], trial]
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        count = self._count
        table = make_table("trial", "status", count.metric, "params", right=("trial", count.metric))
        table.title = visible(f"sweep {count.name}: {count}")
        table.title_justify = "left"
        for trial in self._last:
            style = "bold green" if trial is count.best else "red" if trial.status == "failed" else ""
            value = "" if trial.value is None else f"{trial.value:.6g}"
            shown = trial.error.splitlines()[0] if trial.status == "failed" and trial.error else in_short(trial.params)
            table.add_row(*(cell(text, style) for text in (trial.number, trial.status, value, shown)))
        table.caption = visible(count.best_line())
        table.caption_justify = "left"
        return table


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


def make_progress(count: Count, *, is_shown: bool) -> Progress:
    """Return what suits standard error."""
    if not is_shown:
        return Silent()
    return LiveTable(count) if sys.stderr.isatty() else Lines(count)
