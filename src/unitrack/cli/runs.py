"""`unitrack runs`: the runs that a backend holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from unitrack.cli import _completion

if TYPE_CHECKING:
    from unitrack.cli._console import Column
    from unitrack.runs import StoredRun

_METRICS_IN_A_ROW = 4  # a row is to be taken in at a glance; `unitrack show` has all


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("runs")(runs)


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


def runs(
    location: Annotated[
        str | None,
        typer.Argument(
            metavar="LOCATION",
            help="BACKEND:PLACE, such as mlflow:sqlite:///mlflow.db, or a folder. Default: the configured root.",
            autocompletion=_completion.locations,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="Only the newest N.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the runs that a backend holds, whoever wrote them, newest first: how they ended, and their last metrics."""
    import unitrack
    from unitrack.cli import FAILED
    from unitrack.cli._choosing import configured_root, no_runs
    from unitrack.cli._console import make_console, print_columns, print_json, visible

    found = unitrack.runs(location)
    newest = sorted(found, key=lambda run: run.started, reverse=True)[:limit]
    rows, problems = _read(newest, with_artifacts=as_json)
    if as_json:
        print_json(rows)
    elif rows:
        console = make_console()
        print_columns(console, _columns(rows, console.width))
    elif not problems:
        typer.echo(no_runs(configured_root()) if location is None else f"no runs in {found.location}")
    for problem in problems:
        typer.echo(visible(problem), err=True)
    if problems:
        raise typer.Exit(FAILED)


def _read(found: list[StoredRun], *, with_artifacts: bool) -> tuple[list[Row], list[str]]:
    """One run that can't be read hides no other."""
    from unitrack.errors import UnitrackError

    rows, problems = [], []
    for run in found:
        try:
            rows.append(_row(run, with_artifacts=with_artifacts))
        except UnitrackError as error:
            problems.append(f"{run.name} ({run.id}): {error}")
    return rows, problems


def _row(run: StoredRun, *, with_artifacts: bool) -> Row:
    """Artifacts have to be looked for, run by run, and the table does not show them."""
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


def _columns(rows: list[Row], width: int) -> list[Column]:
    """What fits of the table. Before a column gives way to the metrics, there are fewer of these."""
    from unitrack.cli._console import Column, ago, fit, from_here

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
