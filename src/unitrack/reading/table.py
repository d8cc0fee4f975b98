"""A list of runs as a table: what the representations of `Runs` show."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from datetime import datetime

from unitrack.errors import UnitrackError
from unitrack.reading.stored_run import StoredRun
from unitrack.terminal.console import Column, fit, print_columns, visible

_METRICS = 4
"""Metrics in a row."""
_LONGEST = 40
"""Characters of a cell."""

HEADERS = ("name", "id", "project", "status", "started", "last metrics")


def cells_of(run: StoredRun) -> tuple[str, ...]:
    """Return a row for `HEADERS`; a run that can't be read has a row that says so."""
    try:
        status, last = run.status, run.summary
    except UnitrackError as error:
        return run.name, run.id, run.project, f"can't be read: {error}", as_local_time(run.started), ""
    shown = [f"{name}={value:.6g}" for name, value in list(last.items())[:_METRICS]]
    more = [f"and {len(last) - len(shown)} more"] if len(last) > len(shown) else []
    return run.name, run.id, run.project, status, as_local_time(run.started), "  ".join([*shown, *more])


def text_table(title: str, runs: Sequence[StoredRun]) -> str:
    """Return a title and a row for each run, as wide as the terminal at most."""
    from rich.console import Console  # noqa: PLC0415  # rich costs 24 ms

    rows = [[_short(text) for text in cells_of(run)] for run in runs]
    columns = [Column(header, list(cells)) for header, cells in zip(HEADERS, zip(*rows, strict=True), strict=False)]
    columns = [column for column in columns if any(column.cells)]
    width = shutil.get_terminal_size().columns
    by_importance = sorted(columns, key=lambda column: ("name", "status", "id").count(column.header), reverse=True)
    shown = fit(by_importance, width)
    console = Console(file=io.StringIO(), force_jupyter=False, width=10_000, highlight=False, color_system=None)
    print_columns(console, [column for column in columns if column in shown])
    assert isinstance(console.file, io.StringIO)
    return "\n".join([visible(title), *(line.rstrip() for line in console.file.getvalue().splitlines())])


def as_local_time(milliseconds: int) -> str:
    """Return a time, in milliseconds since the epoch, as date and time of this place; "" for an unknown one."""
    return f"{datetime.fromtimestamp(milliseconds / 1000):%Y-%m-%d %H:%M:%S}" if milliseconds else ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
