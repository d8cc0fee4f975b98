"""A run's delivery, printed for people: by `status`, and by `sync` when it is through."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unitrack.delivery.report import verdict
from unitrack.terminal.console import ago, cell, from_here, in_words, make_table, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from unitrack.delivery.status import RunState, SinkState
    from unitrack.validation.refusals import Refusal

_STYLES = {"complete": "green", "delivering": "cyan", "retrying": "yellow", "parked": "red", "pending": "yellow"}


def print_run(console: Console, run: RunState) -> None:
    """Print a headline, a row for each sink, what is wrong, and how to go on if nobody delivers."""
    headline = cell(run.name, "bold")
    headline.append(f"  {run.run_id}  {run.status}, started {ago(run.started)}", style="not bold")
    if run.status == "running" and run.owner_silent_for is not None:
        seen = f"  on host {run.owner_host}, last sign of life {in_words(run.owner_silent_for)} ago"
        headline.append(seen, style="not bold")
    console.print(headline)
    console.print(cell(from_here(run.folder), "dim"), soft_wrap=True)
    console.print(_sinks_table(run))
    for sink in run.sinks:
        if sink.last_error and (sink.state != "complete" or sink.dead_lettered):
            console.print(cell(f"{sink.sink}: {sink.last_error}", "red"))
    print_refusals(console, run.refused)
    for damage in dict.fromkeys(damage for sink in run.sinks for damage in sink.damages):  # sinks read one journal
        console.print(cell(f"damaged: {damage}", "red"), soft_wrap=True)
    if any(sink.state == "complete" and sink.dead_lettered for sink in run.sinks):
        how = f"unitrack sync --dead-letters {shlex.quote(from_here(run.folder))}"
        console.print(cell(f"try dead letters again, after a fix, with: {how}", "bold"), soft_wrap=True)
    if run.needs_sync and run.status != "running":
        console.print(cell(f"go on with: unitrack sync {shlex.quote(from_here(run.folder))}", "bold"), soft_wrap=True)
    console.print()


def print_refusals(console: Console, refused: Sequence[Refusal]) -> None:
    """Print which points log calls did not take, a line for each metric."""
    for one in refused:
        points = "1 point was" if one.points == 1 else f"{one.points:,} points were"
        text = f"{points} refused of {one.metric!r}, the first at step {one.step}: {one.reason}"
        console.print(cell(text, "yellow"), soft_wrap=True)


def in_one_line(run: RunState) -> str:
    """Return a run and its sinks in one line, for a log."""
    parts = []
    for sink in run.sinks:
        pending = f", {sink.pending} pending" if sink.pending else ""
        state = verdict(sink.state, sink.dead_lettered + sink.damaged)
        reason = f" ({sink.last_error})" if sink.last_error and sink.state in ("retrying", "parked", "pending") else ""
        parts.append(f"{sink.sink} {state}{pending}{reason}")
    return visible(f"{time.strftime('%H:%M:%S')} {from_here(run.folder)}  {run.status}: {'; '.join(parts)}")


def _sinks_table(run: RunState) -> Table:
    numbers = ("delivered", "pending", "dead letters")
    table = make_table("sink", "state", *numbers, "", right=numbers)
    for sink in run.sinks:
        counts = (cell(count) for count in (sink.delivered, sink.pending, sink.dead_lettered))
        lost = sink.dead_lettered + sink.damaged
        style = "yellow" if lost and sink.state == "complete" else _STYLES[sink.state]
        table.add_row(cell(sink.sink), cell(verdict(sink.state, lost), style), *counts, cell(_note(sink)))
    return table


def _note(sink: SinkState) -> str:
    parts = []
    if sink.delivering_pid is not None:
        parts.append(f"process {sink.delivering_pid} delivers")
    elif sink.state != "complete":
        parts.append("nobody delivers")
    if sink.stuck_since is not None:
        parts.append(f"in one call for {in_words(max(0.0, time.time() - sink.stuck_since / 1000))}")
    if sink.attempts and sink.state in ("retrying", "parked"):
        parts.append("1 failure" if sink.attempts == 1 else f"{sink.attempts} failures in a row")
    if sink.next_retry is not None and sink.state in ("retrying", "parked"):
        parts.append(f"next try in {in_words(max(0.0, sink.next_retry / 1000 - time.time()))}")
    if sink.damaged:
        parts.append(f"{sink.damaged} lost in damaged places")
    return ", ".join(parts)
