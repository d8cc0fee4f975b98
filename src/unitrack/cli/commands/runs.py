"""`unitrack runs`: the runs that backends hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from unitrack.cli.parameters import AS_JSON, FILTER, LOCATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from unitrack.query.conditions import Field
    from unitrack.reading import Runs, StoredRun
    from unitrack.terminal.console import Column

_METRICS_IN_A_ROW = 4  # a row is to be taken in at a glance; `unitrack show` has all
_WATCH_S = 2.0
"""Seconds between two looks."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("runs")(list_runs)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    run_id: str
    """The run's id in the backend."""
    name: str
    project: str
    folder: str | None
    """The run's own folder, absolute; None if it is in none on this machine."""
    location: str
    """Where it was read from: "BACKEND:PLACE"."""
    status: str
    started: int
    """Milliseconds since the epoch, as is `ended`."""
    ended: int | None
    params: dict[str, Any]
    summary: dict[str, float]
    """The last value of each metric."""
    tags: dict[str, str]
    artifacts: tuple[str, ...]
    """Their names."""


def list_runs(
    locations: LOCATIONS = None,
    query: FILTER = None,
    order_by: Annotated[
        str | None,
        typer.Option(
            "--order-by", metavar="FIELDS", help="Such as metrics.acc.last,name; the greatest first with - before it."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="Only the first N.")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="FIELDS", help="Such as name,params.lr,metrics.loss.min.")
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Also those that `unitrack archive` has put away.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """List the runs that backends hold, by unitrack or others, newest first: their end, their last metrics."""
    import unitrack
    from unitrack.query.ordering import parse_order

    fields = None if columns is None else [key.field for key in parse_order(columns)]

    def read() -> Runs:
        found = unitrack.runs(*(locations or ()), filter=query, order_by=order_by)
        return found.first(limit, leave_out=None if archived else _is_archived)

    if watch and as_json:
        raise typer.BadParameter("--watch draws a table; leave out --json")
    if watch:
        _watch(read, fields)
    else:
        _print(read(), fields, query, as_json=as_json, is_default=not locations)


def _is_archived(run: StoredRun) -> bool:
    from unitrack.errors import UnitrackError
    from unitrack.records import ARCHIVED

    try:
        return run.tags.get(ARCHIVED) == "true"
    except UnitrackError:
        return False  # it is listed with the error


def _print(found: Runs, fields: list[Field] | None, query: str | None, *, as_json: bool, is_default: bool) -> None:
    from unitrack.cli import FAILED
    from unitrack.cli.arguments import configured_root, no_runs
    from unitrack.terminal.console import make_console, print_columns, print_json, visible

    rows, problems = _read(found, fields, with_artifacts=as_json)
    if as_json:
        print_json(rows)
    elif rows:
        console = make_console()
        print_columns(console, _columns(rows, fields, console.width))
    elif not problems:
        where = ", ".join(map(str, found.locations))
        nothing = f"no runs in {where}" if query is None else f"no run in {where} for which {query!r} holds"
        typer.echo(no_runs(configured_root()) if is_default and query is None else visible(nothing))
        for hint in _hints(found, query):
            typer.echo(visible(hint), err=True)
    for problem in problems:
        typer.echo(visible(problem), err=True)
    if problems:
        raise typer.Exit(FAILED)


def _hints(found: Runs, query: str | None) -> list[str]:
    """Return what may be misspelled in a query that leaves nothing."""
    from unitrack.query.filters import Query
    from unitrack.reading import Runs
    from unitrack.reading.selection import unknown_fields

    return [] if query is None else unknown_fields(Query.parse(query), Runs(*found.locations).read_summaries())


def _watch(read: Callable[[], Runs], fields: list[Field] | None) -> None:
    """Draw the table again and again, until Ctrl-C. An error is shown in its place, for a server may come back."""
    import contextlib
    import time

    from rich.live import Live

    from unitrack.errors import SourceError
    from unitrack.terminal.console import cell, make_console, table_of

    console = make_console()
    read()  # a location or a query that can't be used ends the command
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            try:
                rows, _ = _read(read(), fields, with_artifacts=False)
                shown = table_of(_columns(rows, fields, console.width)) if rows else cell("no runs yet")
            except SourceError as error:
                shown = cell(str(error))
            live.update(shown, refresh=True)
            time.sleep(_WATCH_S)


def _read(found: Runs, fields: list[Field] | None, *, with_artifacts: bool) -> tuple[list[Any], list[str]]:
    """Return the row of each run, or its error: one run that can't be read hides no other."""
    import contextlib

    from unitrack.errors import SourceError, UnitrackError
    from unitrack.query.ordering import heading_of
    from unitrack.reading.selection import values_of

    with contextlib.suppress(SourceError):  # then the runs are read one by one
        found.read_summaries()
    rows: list[Any] = []
    problems: list[str] = []
    for run in found:
        try:
            if fields is None:
                rows.append(_row(run, with_artifacts=with_artifacts))
            else:
                rows.append(dict(zip(map(heading_of, fields), values_of(run, fields), strict=True)))
        except UnitrackError as error:
            problems.append(f"{run.name} ({run.id}): {error}")
    return rows, problems


def _row(run: StoredRun, *, with_artifacts: bool) -> Row:
    """Return the row of a run, without its artifacts: finding them takes a look-up for each run."""
    folder = run.folder
    return Row(
        run_id=run.id,
        name=run.name,
        project=run.project,
        folder=None if folder is None else str(folder),
        location=str(run.location),
        status=run.status,
        started=run.started,
        ended=run.ended,
        params=dict(run.params),
        summary=run.summary,
        tags=dict(run.tags),
        artifacts=tuple(artifact.name for artifact in run.artifacts) if with_artifacts else (),
    )


def _columns(rows: list[Any], fields: list[Field] | None, width: int) -> list[Column]:
    """Return the columns that were asked for, or else those that fit."""
    from unitrack.query.ordering import heading_of
    from unitrack.terminal.console import Column

    if fields is None:
        return _fitting_columns(rows, width)
    headings = {heading_of(field): field for field in fields}
    return [Column(heading, [_cell(field, row[heading]) for row in rows]) for heading, field in headings.items()]


def _cell(field: Field, value: Any) -> str:
    from unitrack.terminal.console import ago, in_words

    if value is None:
        return ""
    if field.group == "run" and field.name in ("started", "ended"):
        return ago(value)
    if field.group == "run" and field.name == "duration":
        return in_words(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _fitting_columns(rows: list[Row], width: int) -> list[Column]:
    """Return the columns that fit. Metrics are left out before another column is."""
    from unitrack.terminal.console import Column, ago, fit, from_here

    name = Column("name", [row.name for row in rows])
    status = Column("status", [row.status for row in rows])
    id_ = Column("id", [row.run_id for row in rows])
    started = Column("started", [ago(row.started) if row.started else "" for row in rows])
    project = Column("project", [row.project for row in rows])
    folder = Column("folder", [from_here(row.folder) if row.folder else "" for row in rows])
    for number in range(_METRICS_IN_A_ROW, 0, -1):
        metrics = Column("last metrics", [_in_short(row.summary, number) for row in rows])
        by_importance = [name, status, id_, metrics, started, project, folder]
        shown = fit([column for column in by_importance if column is name or any(column.cells)], width)
        if metrics in shown:
            break
    return [column for column in (name, id_, project, status, started, folder, metrics) if column in shown]


def _in_short(summary: dict[str, float], number: int) -> str:
    shown = [f"{name}={value:.6g}" for name, value in list(summary.items())[:number]]
    more = len(summary) - len(shown)
    return "  ".join([*shown, f"and {more} more"] if more else shown)
