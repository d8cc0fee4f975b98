"""`unitrack rename`: another name for a run."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli.parameters import AS_JSON, LOCAL_RUN


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rename")(rename_run)


def rename_run(
    run: LOCAL_RUN,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name. The run folder keeps its own.")],
    as_json: AS_JSON = False,
) -> None:
    """Give a run that has ended another name, in every backend that it went to.

    Exit code 1 if a backend does not have it yet: `unitrack sync` delivers it then.
    """
    from unitrack.cli.editing import edit_runs
    from unitrack.errors import ConfigError
    from unitrack.manager.editing import edit_run

    if not name.strip():
        raise ConfigError("the new name is empty: give a name")
    edit_runs([run], lambda folder: edit_run(folder, name=name), f"renamed to {name!r}", as_json=as_json)
