"""`unitrack capture`: a script that calls other trackers, run unchanged."""

from __future__ import annotations

from typing import Annotated

import typer

from unitrack.cli import completion

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
"""Exit codes, as of a shell."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capture", context_settings={"allow_interspersed_args": False})(capture_command)


def capture_command(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The command and its arguments, after `--`.")],
    sinks: Annotated[
        str | None,
        typer.Option(
            "--sinks",
            metavar="NAMES",
            help="Sinks or backends, with commas. Default: the configured ones.",
            autocompletion=completion.sinks,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="NAMES", help="Of wandb, mlflow, tensorboard, trackio. Default: all."),
    ] = None,
    replace: Annotated[
        str | None,
        typer.Option("--replace", metavar="NAMES", help="Those whose own backend gets nothing. Default: none."),
    ] = None,
) -> None:
    """Run a command; what it logs through W&B, MLflow, TensorBoard and trackio becomes runs of unitrack as well.

    Nothing in the script changes. The processes that it starts are captured too. The command takes the place of this
    process, so signals and the exit code are its own; 127 if there is no such program, and 2 for a wrong configuration,
    with which it is not started.
    """
    import os
    import shutil

    from unitrack.capture.command import names_in, run_captured
    from unitrack.terminal.console import visible

    if shutil.which(command[0]) is None:
        exists = os.path.exists(command[0])
        why = "is no program that may be executed" if exists else "is not a program on the PATH"
        typer.echo(f"error: {visible(command[0])!r} {why}: nothing was started", err=True)
        raise typer.Exit(_NOT_EXECUTABLE if exists else _NOT_FOUND)
    run_captured(command, names_in(only), names_in(replace), names_in(sinks) or None)
