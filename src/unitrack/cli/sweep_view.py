"""Sweeps on the terminal: while they run, as tables, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from unitrack.sweeps.definition import NO_METRIC
from unitrack.sweeps.overview import ENDLESS, in_short, number, trial_columns
from unitrack.terminal.console import Column, make_console, print_columns, print_json, visible

if TYPE_CHECKING:
    from unitrack.sweeps.definition import Definition
    from unitrack.sweeps.program_sweep import ProgramSweep
    from unitrack.sweeps.stored_sweeps import StoredSweep

_SHOWN_OF_PLAN = 3
"""Commands that a plan shows."""


def announce(sweep: ProgramSweep) -> None:
    """Say what a sweep is going to do, and how another agent joins it."""
    for note in sweep.definition.notes:
        _say(f"note: {note}")
    bound = "trials until Ctrl-C" if sweep.size >= ENDLESS else f"{sweep.size} trial{'s' if sweep.size != 1 else ''}"
    join = f"unitrack sweep join {shlex.quote(sweep.name)}"
    where = ", with the same --storage" if sweep.is_in_database else ""
    _say(f"sweep {sweep.name}: {bound} by {sweep.definition.method}; another agent: `{join}`{where}")


def _say(told: str) -> None:
    typer.echo(visible(told), err=True)


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
    print_columns(make_console(), trial_columns(ranked, sweep.metric))
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
        Column("best", [number(one.best.value) if one.best else "" for one in sweeps]),
        Column("with", [in_short(one.best.params) if one.best else "" for one in sweeps]),
    ]
    print_columns(make_console(), columns)


def print_plan(definition: Definition, name: str) -> None:
    """Print what a sweep would do."""
    from unitrack.sweeps.program import ProgramTrial
    from unitrack.sweeps.program_sweep import budget_of

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
