"""`unitrack note`: the description of a run, written afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli.parameters import AS_JSON, LOCAL_RUN


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("note")(note_run)


def note_run(
    run: LOCAL_RUN,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The description, in Markdown.")],
    append: Annotated[bool, typer.Option("--append", help="Add it as a paragraph to the one there is.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Write the description of a run that has ended, in every backend that it went to.

    Exit code 1 if a backend does not have it yet: `unitrack sync` delivers it then.
    """
    from unitrack.cli.editing import edit_runs
    from unitrack.delivery.report import DeliveryReport
    from unitrack.manager.editing import edit_run
    from unitrack.runfolder.run_folder import RunFolder

    def edit(folder: RunFolder) -> DeliveryReport:
        before = folder.read_manifest().run.description
        return edit_run(folder, description=f"{before}\n\n{text}" if append and before else text)

    edit_runs([run], edit, "noted", as_json=as_json)
