"""Sweeps on the terminal: while they run, as tables, and as JSON."""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from unitrack.records import flatten
from unitrack.sweeps.definition import NO_METRIC
from unitrack.terminal.console import Column, fit, in_words, make_console, print_columns, print_json, table_of, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from unitrack.sweeps.definition import Definition
    from unitrack.sweeps.outcome import TrialResult
    from unitrack.sweeps.program_sweep import ProgramSweep
    from unitrack.sweeps.stored_sweeps import StoredSweep

_SHOWN_LIVE = 12
"""Trials in the table while a sweep runs, the last that began."""
_SHOWN_OF_PLAN = 3
"""Commands that a plan shows."""
_READ_EVERY_S = 1.0


class SweepView:
    """What a sweep shows while it runs, on stderr: a table on a terminal, else a line for each trial."""

    def __init__(self, sweep: ProgramSweep) -> None:
        from unitrack.sweeps.program_sweep import ENDLESS

        self._sweep = sweep
        self._total = None if sweep.size >= ENDLESS else sweep.size
        self._console = make_console(stderr=True)
        self._live: Any = None
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        for note in self._sweep.definition.notes:
            self._say(f"note: {note}")
        count = f"{self._total} trial{'s' if self._total != 1 else ''}"
        bound = count if self._total is not None else "trials until Ctrl-C"
        join = f"unitrack sweep join {shlex.quote(self._sweep.name)}"
        where = ", with the same --storage" if self._sweep.is_in_database else ""
        self._say(
            f"sweep {self._sweep.name}: {bound} by {self._sweep.definition.method}; another agent: `{join}`{where}"
        )
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(self._renderable([]), console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
            self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._live is not None:
            self._reader.join(_READ_EVERY_S)
            self._live.stop()

    def see(self, trial: TrialResult) -> None:
        """Tell how a trial of this agent ended, where no table does."""
        if self._live is None:
            self._say(f"{_outcome(trial, self._sweep.metric)}  {_params(trial)}")

    def _read(self) -> None:
        """Read the study now and then, since other agents work on it as well."""
        while not self._over.wait(_READ_EVERY_S):
            with contextlib.suppress(Exception):  # the table is a help; the sweep goes on without
                self._live.update(self._renderable(self._sweep.results()))

    def _renderable(self, trials: Sequence[TrialResult]) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from unitrack.sweeps.outcome import ranked

        done = sum(one.status != "running" for one in trials)
        parts = [f"{done} of {self._total}" if self._total is not None else f"{done} done"]
        parts += [
            f"{count} {status}"
            for status in ("running", "failed", "pruned")
            if (count := sum(one.status == status for one in trials))
        ]
        finished = ranked(trials, self._sweep.mode)
        has_best = bool(finished) and self._sweep.metric != NO_METRIC
        best = f"best {_outcome(finished[0], self._sweep.metric)}  {_params(finished[0])}" if has_best else ""
        columns = columns_of(trials[-_SHOWN_LIVE:], self._sweep.metric)
        table = [table_of(fit(columns, self._console.width))] if trials else []
        return Group(Text(visible(f"{', '.join(parts)}  {best}"), no_wrap=True, overflow="ellipsis"), *table)

    def _say(self, text: str) -> None:
        typer.echo(visible(text), err=True)


def columns_of(trials: Sequence[TrialResult], metric: str) -> list[Column]:
    """Return the columns of a table of trials, the most important first."""
    params = [flatten(one.params) for one in trials]
    names = list(dict.fromkeys(name for one in params for name in one))
    columns = [
        Column("trial", [str(one.number) for one in trials]),
        Column("status", [one.status for one in trials]),
        *([] if metric == NO_METRIC else [Column(metric, [_number(_value(one, metric)) for one in trials])]),
        *(Column(name, [_text(one.get(name)) for one in params]) for name in names),
        Column("took", [in_words(one.seconds) if one.seconds else "" for one in trials]),
        Column("run", [one.run_id for one in trials]),
    ]
    if any(one.error for one in trials):
        columns.append(Column("error", [one.error for one in trials]))
    return columns


def print_sweep(sweep: StoredSweep, *, as_json: bool) -> None:
    """Print the trials of a sweep, the best first."""
    if as_json:
        print_json(
            {
                "name": sweep.name,
                "metric": sweep.metric,
                "mode": sweep.mode,
                "strategy": sweep.strategy,
                "parent": sweep.parent,
                "best": sweep.best,
                "trials": sweep.trials,
            }
        )
        return
    if not sweep.trials:
        typer.echo(f"sweep {visible(sweep.name)} has no trials yet")
        return
    sign = 1 if sweep.mode == "min" else -1
    order = {"finished": 0, "pruned": 1, "running": 2, "failed": 3}
    ranked = sorted(sweep.trials, key=lambda one: (order[one.status], sign * (one.value or 0.0), one.number))
    print_columns(make_console(), columns_of(ranked, sweep.metric))
    counts = ", ".join(f"{count} {status}" for status in order if (count := sweep.count(status)))
    best = f"; best: unitrack show {sweep.best.run_id}" if sweep.best else ""
    typer.echo(visible(f"sweep {sweep.name}: {counts}{best}"), err=True)


def print_sweeps(sweeps: Sequence[StoredSweep], *, as_json: bool) -> None:
    """Print a line for each sweep."""
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "metric": one.metric,
                    "mode": one.mode,
                    "strategy": one.strategy,
                    "parent": one.parent,
                    "trials": len(one.trials),
                    **{status: one.count(status) for status in ("finished", "pruned", "running", "failed")},
                    "best": one.best,
                }
                for one in sweeps
            ]
        )
        return
    if not sweeps:
        typer.echo("no sweeps here")
        return
    columns = [
        Column("name", [one.name for one in sweeps]),
        Column("method", [one.strategy for one in sweeps]),
        Column("trials", [str(len(one.trials)) for one in sweeps]),
        *(
            Column(status, [str(one.count(status) or "") for one in sweeps])
            for status in ("finished", "pruned", "running", "failed")
        ),
        Column("metric", ["" if one.metric == NO_METRIC else one.metric for one in sweeps]),
        Column("best", [_number(one.best.value) if one.best else "" for one in sweeps]),
        Column("with", [_params(one.best) if one.best else "" for one in sweeps]),
    ]
    print_columns(make_console(), columns)


def print_plan(definition: Definition, name: str) -> None:
    """Print what a sweep would do."""
    from unitrack.sweeps.program import ProgramTrial
    from unitrack.sweeps.program_sweep import ENDLESS, budget_of

    size = budget_of(definition)
    bound = f"{size} trials" if size < ENDLESS else "trials without end"
    metric = f", {definition.metric.goal} {definition.metric.name}" if definition.metric else ""
    typer.echo(visible(f"sweep {name}: {bound} by {definition.method}{metric}"))
    for note in definition.notes:
        typer.echo(visible(f"note: {note}"))
    columns = [
        Column("param", [one.name for one in definition.parameters]),
        Column("values", [one.distribution.in_words() for one in definition.parameters]),
    ]
    print_columns(make_console(), columns)
    trial = ProgramTrial(definition=definition)
    typer.echo("such as")
    for command in trial.examples(min(_SHOWN_OF_PLAN, size)):
        typer.echo(visible(f"  {shlex.join(command)}"))


def _outcome(trial: TrialResult, metric: str) -> str:
    """Return how a trial ended, in a few words."""
    value = _value(trial, metric)
    told = f"trial {trial.number} {trial.status}"
    if value is not None and metric != NO_METRIC:
        told += f"  {metric}={_number(value)}"
    return f"{told}: {trial.error}" if trial.error else told


def _value(trial: TrialResult, metric: str) -> float | None:
    return trial.value if trial.value is not None else trial.metrics.get(metric)


def _params(trial: TrialResult) -> str:
    return "  ".join(f"{name}={_text(value)}" for name, value in flatten(trial.params).items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
