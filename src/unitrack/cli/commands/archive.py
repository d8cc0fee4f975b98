"""`unitrack archive`: runs that listings leave out."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("archive")(archive_runs)


def archive_runs(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Runs, by folder, name or id, or folders of runs.",
            autocompletion=completion.local_runs,
        ),
    ],
    undo: Annotated[bool, typer.Option("--undo", help="Bring them back into listings.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Leave runs out of `unitrack runs`, without losing anything: they get the tag `unitrack.archived` everywhere.

    Exit code 1 if a backend does not have the tag yet: `unitrack sync` delivers it then.
    """
    from unitrack.cli.editing import edit_runs
    from unitrack.manager.editing import edit_run
    from unitrack.records import ARCHIVED

    tags = {ARCHIVED: "false" if undo else "true"}
    edit_runs(runs, lambda folder: edit_run(folder, tags=tags), "back" if undo else "archived", as_json=as_json)
