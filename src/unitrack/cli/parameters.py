"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli import completion

LOCAL_RUN = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run folder, its name under the root, or a run id.",
        autocompletion=completion.local_runs,
    ),
]
STORED_RUN = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run folder, its name under the root, or a run id; with --from an id or a name there.",
        autocompletion=completion.local_runs,
    ),
]
FROM = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="LOCATION",
        help="Where it lies: BACKEND:PLACE, such as wandb:DIR, or a folder.",
        autocompletion=completion.locations,
    ),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LOCATIONS = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="LOCATION",
        help="Each BACKEND:PLACE, such as mlflow:sqlite:///mlflow.db, or a folder; a place may be a glob. Default: the"
        " configured root.",
        show_default=False,
        autocompletion=completion.locations,
    ),
]
FILTER = Annotated[
    str | None,
    typer.Option("--filter", metavar="QUERY", help='Only runs for which it holds: "params.lr < 0.01".'),
]
