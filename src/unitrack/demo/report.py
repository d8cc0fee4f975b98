"""The demo's table: what each backend holds, read back, beside what was logged."""

from __future__ import annotations

import shlex
import statistics
from typing import TYPE_CHECKING

import msgspec

from unitrack.demo.reading import Match, read_back
from unitrack.hookspecs import Backend
from unitrack.terminal.console import cell, from_here, make_table, print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from unitrack.demo.logged_run import Logged
    from unitrack.manager.verification import Verification

_NUMBERS_WIDTH = 60
"""Columns that the table takes without `where`."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One backend."""

    backend: str
    where: str | None = None
    params: int | None = None
    points: int | None = None
    last_loss: float | None = None
    artifacts: int | None = None
    lag: float | None = None
    """Seconds from the last log call until the backend had confirmed everything."""
    match: Match | None = None
    """None if it could not be read back."""
    open_with: str | None = None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is known to be missing; a plugin without a reader is no reason to fail."""
        return self.problem is None and self.match != "different"


def row_of(backend: Backend, logged: Logged) -> Row:
    """Read one backend back. An error is shown in its row, and does not end the demo."""
    name = backend.name
    sink = logged.report[name]
    link = logged.links.get(name)
    if link is None:
        return Row(backend=name, problem=sink.last_error or f"not opened yet, {sink.pending} records pending")
    row = Row(
        backend=name,
        where=from_here(link.location),
        lag=logged.lags[name],
        open_with=link.open_with and from_here(link.open_with),
        problem=None if sink.ok else str(sink),
    )
    if backend.source is None:
        return row
    try:
        held = read_back(backend, link)
    except Exception as error:
        return msgspec.structs.replace(row, problem=f"can't be read back: {type(error).__name__}: {error}")
    return msgspec.structs.replace(
        row,
        where=from_here(held.where),
        params=held.params,
        points=len(held.points),
        last_loss=held.last_loss,
        artifacts=held.artifacts,
        match=held.matches(logged.points),
    )


def report_as_json(logged: Logged, rows: list[Row], verification: Verification | None) -> None:
    """Print the report as JSON."""
    print_json(
        {
            "folder": str(logged.path),
            "logged": {"params": logged.params, "points": len(logged.points), "artifacts": logged.artifacts},
            "log_call_us": {"p50": _percentile(logged, 50), "p99": _percentile(logged, 99)},
            "log_share": _share(logged),
            "backends": rows,
            "agree": all(row.ok for row in rows),
            "verified": verification and verification.ok,
        }
    )


def print_report(console: Console, logged: Logged, rows: list[Row], verification: Verification | None) -> None:
    """Print the table, whether all agree, in what else they do, what logging cost, and what to do next."""
    where_fits = console.width >= _NUMBERS_WIDTH + max(len(row.where or "") for row in rows)
    console.print()
    console.print(_table(rows, where_fits))
    console.print()
    console.print(cell(_verdict(rows, len(logged.points)), "bold green" if all(row.ok for row in rows) else "bold red"))
    for row in rows:
        if row.problem:
            console.print(cell(f"{row.backend}: {row.problem}", "red"), soft_wrap=True)
    if verification is not None:
        path = shlex.quote(from_here(logged.path))
        console.print(cell(f"\nTimes, params, tags and files too, as `unitrack verify {path}` proves:"), soft_wrap=True)
        verification.print_to(console)
        console.print()
    console.print(
        f"Logging took {_share(logged):.1%} of the training time: {_percentile(logged, 50):.0f} us a call, with the "
        "processor's caches full of training.\n"
    )
    console.print(cell("Open it" if where_fits else "Where it lies, and what opens it", "bold"))
    width = max(len(row.backend) for row in rows)
    for row in rows:
        lines = [line for line in (None if where_fits else row.where, row.open_with) if line]
        for label, line in zip((row.backend, ""), lines, strict=False):
            console.print(cell(f"  {label:<{width}}  {line}"), soft_wrap=True)
    _print_next_steps(console, logged, rows)


def _table(rows: list[Row], with_where: bool) -> Table:
    numbers = ("params", "points", "last loss", "artifacts", "lag")
    table = make_table("backend", *numbers, *(["where"] if with_where else []), right=numbers)
    for row in rows:
        loss = None if row.last_loss is None else f"{row.last_loss:.8f}"
        lag = None if row.lag is None else f"{row.lag:.2f} s"
        cells = (row.params, row.points, loss, row.artifacts, lag, *([row.where] if with_where else []))
        table.add_row(cell(row.backend, "bold"), *(cell("-" if value is None else value) for value in cells))
    return table


def _verdict(rows: list[Row], points: int) -> str:
    differing = [row.backend for row in rows if not row.ok]
    if differing:
        return f"Not what was logged: {', '.join(differing)}"
    unread = [row.backend for row in rows if row.match is None]
    rounded = [row.backend for row in rows if row.match == "float32"]
    notes = [f"{name} as 32-bit floats" for name in rounded] + [f"{name} can't be read back" for name in unread]
    names = [row.backend for row in rows if row.match is not None]
    who = f"All {len(names)} backends agree" if len(names) > 1 else f"{''.join(names)} agrees"
    what = f"{who} with what was logged: {points} points, bit for bit" if names else "Nothing was compared"
    suffix = f" ({'; '.join(notes)})" if notes else ""
    return f"{what}{suffix}."


def _percentile(logged: Logged, percent: int) -> float:
    """Return a percentile in microseconds."""
    calls = logged.call_ns
    return (statistics.quantiles(calls, n=100, method="inclusive")[percent - 1] if len(calls) > 1 else calls[0]) / 1000


def _share(logged: Logged) -> float:
    return sum(logged.call_ns) / logged.training_ns


def _print_next_steps(console: Console, logged: Logged, rows: list[Row]) -> None:
    path = shlex.quote(from_here(logged.path))
    names = ", ".join(f'"{row.backend}"' for row in rows)
    console.print()
    console.print(cell("The same in your code", "bold"))
    console.print(cell(f"  with unitrack.start_run(sinks=[{names}]) as run:"), soft_wrap=True)
    console.print(cell('      run.log_metrics({"loss": loss}, step=step)'))
    console.print()
    console.print(cell("Next", "bold"))
    console.print(cell(f"  unitrack status {path}   what has arrived where"), soft_wrap=True)
    console.print(cell("  unitrack doctor   whether your own servers and keys work"), soft_wrap=True)
