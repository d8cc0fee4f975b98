"""What a sweep has come to, by all agents that share its study."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from unitrack.records import flatten
from unitrack.sweeps.definition import NO_METRIC
from unitrack.sweeps.outcome import ResultStatus, TrialResult, ranked
from unitrack.terminal.console import Column, in_words, visible
from unitrack.values.plain import to_plain

ENDLESS = 2**31
"""The number of trials of a sweep without a bound."""


class Overview:
    """The trials of a sweep as its study has them: `renew` reads them again."""

    def __init__(
        self, name: str, metric: str, mode: Literal["min", "max"], n: int, read: Callable[[], list[TrialResult]]
    ) -> None:
        """`n`: how many trials there will be, `ENDLESS` for no bound. `read` returns all that have begun."""
        self.name = name
        self.metric = metric
        self._mode = mode
        self._total = None if n >= ENDLESS else n
        self._read = read
        self._started = time.monotonic()
        self.trials: list[TrialResult] = []
        self.renew()
        self._before = self.ended

    def renew(self) -> None:
        """Read the trials again: other agents work on them as well."""
        self.trials = self._read()

    @property
    def ended(self) -> int:
        """The number of trials that have ended."""
        return sum(one.status != "running" for one in self.trials)

    @property
    def best(self) -> TrialResult | None:
        """The best trial so far; None before one has finished, and without a metric."""
        return None if self.metric == NO_METRIC else next(iter(ranked(self.trials, self._mode)), None)

    def counts(self) -> str:
        """Return the counts in words: "4 of 8 trials, 2 running, 1 failed, about 20 s left"."""
        ended = self.ended
        counts = ((self._count(status), status) for status in ("running", "pruned", "failed"))
        parts = [f"{ended} of {self._total} trials" if self._total is not None else _counted(ended)]
        parts += [f"{count} {status}" for count, status in counts if count]
        if self._total is not None and ended < self._total and (done := ended - self._before):
            left = (time.monotonic() - self._started) / done * (self._total - ended)
            parts.append(f"about {in_words(left)} left")
        return ", ".join(parts)

    def best_line(self) -> str:
        """Return the best trial so far in words; "" without a metric."""
        if self.metric == NO_METRIC:
            return ""
        if (best := self.best) is None:
            return "no trial has finished yet"
        return f"best {self.metric} {number(best.value)}, trial {best.number}: {in_short(best.params)}"

    def line(self) -> str:
        """Return the counts and the best trial in one line."""
        return "; ".join(filter(None, (self.counts(), self.best_line())))

    def outcome(self, trial: TrialResult) -> str:
        """Return in one line how a trial has ended."""
        value = value_of(trial, self.metric)
        told = f"trial {trial.number} {trial.status}"
        if value is not None and self.metric != NO_METRIC:
            told += f", {self.metric} {number(value)}"
        if trial.error:
            told += f": {visible(trial.error.splitlines()[0])}"
        best = self.best
        so_far = " (best so far)" if best is not None and best.number == trial.number else ""
        return f"{told}{so_far}; {in_short(trial.params)}; {trial.seconds:.1f} s"

    def _count(self, status: ResultStatus) -> int:
        return sum(one.status == status for one in self.trials)


def _counted(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"


def trial_columns(trials: list[TrialResult], metric: str) -> list[Column]:
    """Return the columns of a table of trials, the most important first."""
    params = [flatten(to_plain(one.params)) for one in trials]
    names = list(dict.fromkeys(name for one in params for name in one))
    columns = [
        Column("trial", [str(one.number) for one in trials]),
        Column("status", [one.status for one in trials]),
        *([] if metric == NO_METRIC else [Column(metric, [number(value_of(one, metric)) for one in trials])]),
        *(Column(name, [text(one.get(name)) for one in params]) for name in names),
        Column("took", [in_words(one.seconds) if one.seconds else "" for one in trials]),
        Column("run", [one.run_id for one in trials]),
    ]
    if any(one.error for one in trials):
        columns.append(Column("error", [one.error.splitlines()[0] if one.error else "" for one in trials]))
    return columns


def in_short(params: dict[str, Any]) -> str:
    """Return params in one line: "lr=0.001, depth=4"."""
    plain = flatten(to_plain(params))
    return visible(", ".join(f"{name}={text(value)}" for name, value in plain.items())) or "no params"


def value_of(trial: TrialResult, metric: str) -> float | None:
    """Return the value of the sweep's metric, of a failed trial the last one that it logged."""
    return trial.value if trial.value is not None else trial.metrics.get(metric)


def number(value: float | None) -> str:
    """Return a number for a table; "" for none."""
    return "" if value is None else f"{value:.6g}"


def text(value: object) -> str:
    """Return the value of a param for a table; "" for none."""
    return number(value) if isinstance(value, float) else "" if value is None else str(value)
