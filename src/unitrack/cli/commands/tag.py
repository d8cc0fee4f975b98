"""`unitrack tag`: tags of a run, set afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli.parameters import AS_JSON, LOCAL_RUN


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tag")(tag_run)


def tag_run(
    run: LOCAL_RUN,
    tags: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="Tags; a name alone has the value true.")],
    as_json: AS_JSON = False,
) -> None:
    """Set tags of a run, which may have ended long ago, in every backend that it went to.

    Exit code 1 if a backend does not have them yet: `unitrack sync` delivers them then.
    """
    from unitrack.cli.editing import edit_runs
    from unitrack.errors import ConfigError
    from unitrack.manager.editing import edit_run

    found = {}
    for text in tags:
        name, equals, value = text.partition("=")
        if not name:
            raise ConfigError(f"the tag {text!r} has no name: write NAME=VALUE")
        found[name] = value if equals else "true"
    edit_runs([run], lambda folder: edit_run(folder, tags=found), "tagged", as_json=as_json)
