"""`unitrack sql`: a query over the runs of any backends."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sql")(query_runs)


def query_runs(
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="A SELECT in DuckDB's SQL over: runs, params, metrics, tags, points."),
    ],
    locations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LOCATION",
            help="BACKEND:PLACE, such as mlflow:sqlite:///mlflow.db, or folders. Default: the configured root.",
            autocompletion=completion.locations,
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", metavar="NAME", help="Read the points of this metric, or pattern, alone."),
    ] = None,
    as_json: AS_JSON = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Run SQL over the runs that backends hold; the extra `sql` brings DuckDB. Nothing else can be read or written."""
    import csv
    import sys

    from unitrack.reading.sql_query import sql
    from unitrack.terminal.console import Column, make_console, print_columns, print_json

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    table = sql(query, *(locations or ()), metrics=metrics or None)
    if as_json:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table)
    elif table.columns:
        print_columns(make_console(), [Column(name, table.texts(name)) for name in table.columns])
