"""`unitrack export`: runs as files for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from unitrack.cli.parameters import AS_JSON, FILTER, LOCATIONS

if TYPE_CHECKING:
    from unitrack.manager.exporting import Exported
    from unitrack.manager.exporting.target import Format, Table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_runs)


def export_runs(
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="TARGET", help="A folder, or a file .parquet, .csv or .jsonl.", show_default=False
        ),
    ],
    locations: LOCATIONS = None,
    query: FILTER = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metrics", metavar="GLOB", help="Only these metrics, such as 'val/*'. May be repeated."),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="parquet, csv, jsonl, or neptune with the artifacts."),
    ] = None,
    table: Annotated[
        str, typer.Option("--table", metavar="TABLE", help="What a file gets: points or runs.")
    ] = "points",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export wrote.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Write runs to Parquet, CSV or JSON lines, every point exact, or to the folders of neptune-exporter.

    A folder gets a table of the runs and one of the points, a file the points. Exit code 1 if an artifact is missing.
    """
    import unitrack
    from unitrack.cli import FAILED
    from unitrack.terminal.console import from_here, make_console, print_json, visible

    with make_console(stderr=True).status("reading") as status:
        done = unitrack.export(
            locations or unitrack.runs(filter=query),
            to=to,
            filter=query if locations else None,
            metrics=metrics,
            format=cast("Format | None", format_),  # both are checked there
            table=cast("Table", table),
            overwrite=overwrite,
            show=lambda exported: status.update(_counts(exported)),
        )
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{from_here(done.path)}: {_counts(done)}")
    for problem in done.left_out:
        typer.echo(visible(f"left out: {problem}"), err=True)
    if done.left_out:
        raise typer.Exit(FAILED)


def _counts(exported: Exported) -> str:
    runs = "1 run" if exported.runs == 1 else f"{exported.runs:,} runs"
    return f"{runs}, {exported.points:,} points"
