"""`unitrack best`: the runs that reached the best value of a metric."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from unitrack.cli.parameters import AS_JSON, FILTER, LOCATIONS


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("best")(list_best)


class BestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    run_id: str
    """The run's id in the backend."""
    name: str
    location: str
    """Where it was read from: "BACKEND:PLACE"."""
    status: str
    best: float
    """The best value."""
    step: int | None
    """The step of the best value."""
    last: float | None
    """The value at the highest step."""


def list_best(
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="Such as loss or val/acc.")],
    locations: LOCATIONS = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="min|max",
            help="Which value is best. Default: by define_metric, else by the metric's name.",
        ),
    ] = None,
    query: FILTER = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="The best N.")] = 1,
    as_json: AS_JSON = False,
) -> None:
    """Show the runs that reached the best value of a metric, at any step: the least, or the greatest."""
    import unitrack
    from unitrack.terminal.console import Column, make_console, print_columns, print_json

    found = unitrack.runs(*(locations or ()), filter=query)
    direction = found.direction(metric, mode)
    rows = []
    for run in found.ranked(metric, direction)[:limit]:
        known = run.statistics((metric,))[metric]
        best, step = (known.min, known.step_of_min) if direction == "min" else (known.max, known.step_of_max)
        assert best is not None
        rows.append(
            BestRow(
                run_id=run.id,
                name=run.name,
                location=str(run.location),
                status=run.status,
                best=best,
                step=step,
                last=known.last,
            )
        )
    if as_json:
        print_json(rows)
        return
    columns = [
        Column("name", [row.name for row in rows]),
        Column("id", [row.run_id for row in rows]),
        Column(f"{direction} of {metric}", [f"{row.best:.6g}" for row in rows]),
        Column("at step", [str(row.step) for row in rows]),
        Column("last", ["" if row.last is None else f"{row.last:.6g}" for row in rows]),
        Column("status", [row.status for row in rows]),
    ]
    if len(found.locations) > 1:
        columns.append(Column("location", [row.location for row in rows]))
    print_columns(make_console(), columns)
