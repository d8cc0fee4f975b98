"""`unitrack runs`: the runs that a backend holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

if TYPE_CHECKING:
    from unitrack.runs import StoredRun

_METRICS_IN_A_ROW = 4  # a row is to be taken in at a glance; `unitrack show` has all


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("runs")(runs)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    id: str
    name: str
    project: str
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
            metavar="[LOCATION]",
            help="BACKEND:PLACE, such as mlflow:sqlite:///mlflow.db, or a folder. Default: the configured root.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only so many, the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the runs that a backend holds, whoever wrote them, newest first: how they ended, and their last metrics."""
    import unitrack
    from unitrack.cli._console import make_console, print_json, visible

    found = unitrack.runs(location)
    newest = sorted(found, key=lambda run: run.started, reverse=True)[:limit]
    rows, problems = _read(newest, with_artifacts=as_json)
    if as_json:
        print_json(rows)
    elif rows:
        make_console().print(_table(rows))
    elif not problems:
        typer.echo(f"no runs in {found.location}")
    for problem in problems:
        typer.echo(visible(problem), err=True)
    if problems:
        raise typer.Exit(1)


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
    return Row(
        id=run.id,
        name=run.name,
        project=run.project,
        status=run.status,
        started=run.started,
        ended=run.ended,
        params=dict(run.params),
        summary=run.summary,
        tags=dict(run.tags),
        artifacts=tuple(artifact.name for artifact in run.artifacts) if with_artifacts else (),
    )


def _table(rows: list[Row]) -> Any:
    from unitrack.cli._console import ago, cell, make_table

    table = make_table("name", "id", "status", "started", "last metrics")
    for row in rows:
        started = ago(row.started) if row.started else "-"
        cells = (row.name, row.id, row.status, started, _in_short(row.summary))
        table.add_row(*(cell(value) for value in cells))
    return table


def _in_short(summary: dict[str, float]) -> str:
    shown = [f"{name}={value:.6g}" for name, value in list(summary.items())[:_METRICS_IN_A_ROW]]
    more = len(summary) - len(shown)
    return "  ".join([*shown, f"and {more} more"] if more else shown) or "-"
