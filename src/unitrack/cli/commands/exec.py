"""`unitrack exec`: any command as a run."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli import completion

if TYPE_CHECKING:
    from unitrack.cli.execution.child import Child
    from unitrack.records import EndStatus
    from unitrack.run.output import OutputFile

_POLL_S = 0.2
_NOT_FOUND, _NOT_EXECUTABLE, _SIGNALLED = 127, 126, 128
"""Exit codes, as of a shell."""
_KILLED_IN_A_SHELL = (130, 137, 143)
"""What a shell script exits with whose command was ended by SIGINT, SIGKILL or SIGTERM."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("exec", context_settings={"allow_interspersed_args": False})(execute)


def execute(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The command and its arguments, after `--`.")],
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="The run's name. Default: two words.")
    ] = None,
    project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="The run's project.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A param of the run; repeatable.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="NAME=VALUE", help="A tag of the run; repeatable.")
    ] = None,
    sinks: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="NAME",
            help="A sink or backend; repeatable. Default: the configured ones.",
            autocompletion=completion.sinks,
        ),
    ] = None,
) -> None:
    """Run any command as a run: its output as a log, its exit code, its duration, and what it logs by `unitrack log`.

    Signals are passed on. The exit code is that of the command; 128 and the signal's number if a signal ended it, 127
    if there is no such program, and 2 for a wrong configuration, with which the command is not started.
    """
    import unitrack
    from unitrack.cli.arguments import pairs_of
    from unitrack.cli.execution.child import Child
    from unitrack.cli.execution.inside import VARIABLE, value_of
    from unitrack.run.output import OutputFile, OutputLog
    from unitrack.terminal.console import visible

    _check(command[0])
    params = {key: value_of(text) for key, text in pairs_of(param or [], "--param").items()}
    tags = pairs_of(tag or [], "--tag") | {"command": shlex.join(command)}
    run = unitrack.start_run(name, project=project, sinks=sinks or None, params=params, tags=tags)
    output, begun = OutputLog(), time.monotonic()
    try:
        child = Child(command, os.environ | {VARIABLE: str(run.path.absolute())}, output.add)
    except OSError as error:
        run.finish("failed")
        typer.echo(f"error: can't start {visible(command[0])!r}: {error.strerror}", err=True)
        raise typer.Exit(_NOT_EXECUTABLE) from None
    file = OutputFile(run, output)
    code = _watch(child, file)
    file.publish()
    run.log_metrics({"exec/exit_code": code, "exec/duration_s": time.monotonic() - begun}, step=0)
    status = _status(code)
    run.finish(status)
    exit_code = code if code >= 0 else _SIGNALLED - code
    typer.echo(f"run {visible(run.name)} ({run.id}) {status}, exit code {exit_code}: unitrack show {run.id}", err=True)
    raise typer.Exit(exit_code)


def _check(program: str) -> None:
    """Exit as a shell does if there is no such program."""
    import shutil

    from unitrack.terminal.console import visible

    if shutil.which(program) is None:
        exists = os.path.exists(program)
        why = "is no program that may be executed" if exists else "is not a program on the PATH"
        typer.echo(f"error: {visible(program)!r} {why}: nothing was started", err=True)
        raise typer.Exit(_NOT_EXECUTABLE if exists else _NOT_FOUND)


def _watch(child: Child, file: OutputFile) -> int:
    """Wait for the end of the command, log its output now and then, and return its exit code."""
    while (code := child.wait(_POLL_S)) is None:
        file.tend()
    return code


def _status(code: int) -> EndStatus:
    if code == 0:
        return "finished"
    return "killed" if code < 0 or code in _KILLED_IN_A_SHELL else "failed"
