"""`unitrack artifact`: a file from inside the command of `unitrack exec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("artifact")(log_artifact)


def log_artifact(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file or a folder.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="FOLDER", help="The folder among the run's artifacts.")
    ] = None,
) -> None:
    """Log a file or a folder to the run of the `unitrack exec` around this command."""
    from unitrack.cli.execution.inside import run_of_command

    with run_of_command() as run:
        if path.is_dir():
            run.log_artifacts(path, to or path.name)
        else:
            run.log_artifact(path, to)
