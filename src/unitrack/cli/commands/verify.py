"""`unitrack verify`: prove that all backends of a run, or a copy of runs, hold the same."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify_runs)


def verify_runs(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SRC",
            help="A run folder, its name under the root, or a run id; before DST the LOCATION of the originals.",
            autocompletion=completion.local_runs,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Argument(
            metavar="DST", help="The LOCATION of copies, or LOCATION#RUN.", autocompletion=completion.locations
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="Of SRC only the run with this id or name.")
    ] = None,
    deletion_ready: Annotated[
        bool,
        typer.Option("--deletion-ready", help="Say whether SRC can be deleted, and what DST holds in another form."),
    ] = False,
    as_json: AS_JSON = False,
) -> None:
    """Read a run back from every backend that it went to, and compare every point; or runs with their copies.

    Compared are steps, values bit for bit, times, params, tags, the description, the status, and artifacts by hash.

    Exit code 1 if something differs, is missing or is not delivered yet.
    """
    from msgspec.structs import asdict

    import unitrack
    from unitrack.cli import FAILED
    from unitrack.manager.verification.readiness import print_readiness, why_not_ready
    from unitrack.terminal.console import make_console, print_json

    if against is None and (name is not None or deletion_ready):
        raise typer.BadParameter(
            "it needs two locations: unitrack verify SRC DST", param_hint="--run, --deletion-ready"
        )
    verification = unitrack.verify(run, against, name=name)
    if as_json:
        print_json(
            {"ok": verification.ok, "deletion_ready": why_not_ready(verification) is None} | asdict(verification)
        )
    else:
        verification.print_to(make_console())
        if deletion_ready:
            print_readiness(make_console(), verification)
    if not verification.ok or (deletion_ready and why_not_ready(verification)):
        raise typer.Exit(FAILED)
