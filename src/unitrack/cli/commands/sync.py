"""`unitrack sync`: deliver what couriers left behind, or to one more sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli import completion

if TYPE_CHECKING:
    from unitrack.config import SinkSettings
    from unitrack.delivery.report import DeliveryReport
    from unitrack.delivery.status import RunState
    from unitrack.runfolder.run_folder import RunFolder

_TIMEOUT_S = 300.0
"""Long enough for a cold start of each SDK and some thousand records to a slow server; the rest stays for next time."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sync")(sync_runs)


def sync_runs(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|FOLDER",
            help="Runs, by folder or id, or folders of runs. Default: all that are not complete.",
            autocompletion=completion.local_runs,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="SINK",
            help="Deliver everything to this sink, a new one for the run.",
            autocompletion=completion.sinks,
        ),
    ] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Also try dead letters again, after a fix.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            help=f"For all runs together. Default: {_TIMEOUT_S:.0f}; with --watch no end.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until Ctrl-C, with new data and new runs as they come.")
    ] = False,
    assume_dead: Annotated[
        bool,
        typer.Option("--assume-dead", help="End runs as failed whose process may be alive on another machine."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch an object a line.")] = False,
) -> None:
    """Deliver what is left of runs. Exit code 1 if something is still pending then.

    SINK is one that is configured here, or a backend, whose default options then hold.
    """
    from unitrack.cli import FAILED
    from unitrack.cli.arguments import choose_runs, choose_sink, configured, configured_root, no_runs
    from unitrack.cli.delivery_tables import print_run
    from unitrack.delivery.status import read_run_state
    from unitrack.errors import UnitrackError
    from unitrack.plugins.registry import installed
    from unitrack.terminal.console import from_here, make_console, print_json, visible

    sink = choose_sink(configured(), to) if to else None
    if sink is not None:
        installed().sink_backend(sink.backend)  # raises for one that can't be used, once and not for each run
    if watch and dead_letters:
        raise typer.BadParameter("--dead-letters tries them once: run it without --watch")
    if watch:
        _watch(runs or [], sink, timeout, as_json=as_json)
        return
    folders = [choice.folder for choice in choose_runs(runs or [])]
    if not folders and not as_json:
        typer.echo(no_runs(configured_root()))
        return
    if not runs and sink is None:
        folders = [folder for folder in folders if not _is_complete(folder, but_for_dead_letters=not dead_letters)]
    deadline = time.monotonic() + (_TIMEOUT_S if timeout is None else timeout)
    console, done, failed = make_console(), [], False
    for folder in folders:
        try:
            report = _sync_one(
                folder, deadline - time.monotonic(), sink, dead_letters=dead_letters, assume_dead=assume_dead
            )
            state = read_run_state(folder)
        except UnitrackError as error:
            typer.echo(visible(f"{from_here(folder.path)}: {error}"), err=True)
            failed = True
            continue
        failed |= any(one.pending for one in state.sinks if one.sink in report.sinks and to in (None, one.sink))
        if state.status == "running" and state.owner_life == "unknown":
            typer.echo(
                visible(
                    f"{from_here(folder.path)}: whether process {state.owner_pid} on host {state.owner_host} still "
                    "logs to this run can't be known from here; if it is gone for good: unitrack sync --assume-dead "
                    f"{from_here(folder.path)}"
                ),
                err=True,
            )
            failed = True
        done.append(state)
        if not as_json:
            print_run(console, state)
    if as_json:
        print_json(done)
    elif not folders:
        typer.echo("nothing to deliver: every run is complete")
    if failed:
        raise typer.Exit(FAILED)


def _watch(runs: list[str], to: SinkSettings | None, timeout: float | None, *, as_json: bool) -> None:
    """Deliver until the time is over or a signal comes."""
    import math
    import signal

    from unitrack.cli import FAILED
    from unitrack.cli.delivery_tables import in_one_line
    from unitrack.cli.sync_watch import SyncWatch
    from unitrack.errors import UnitrackError
    from unitrack.terminal.console import from_here, print_json_line, visible

    def tell(folder: RunFolder, change: RunState | UnitrackError) -> None:
        if isinstance(change, UnitrackError):
            typer.echo(visible(f"{from_here(folder.path)}: {change}"), err=True)
        elif as_json:
            print_json_line(change)
        else:
            typer.echo(in_one_line(change))

    watch = SyncWatch(runs, to, tell)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        watch.go_on(math.inf if timeout is None else time.monotonic() + timeout)
    except KeyboardInterrupt:
        pass  # it is how one ends it
    finally:
        signal.signal(signal.SIGTERM, before)
    if watch.is_anything_pending():
        raise typer.Exit(FAILED)


def _is_complete(folder: RunFolder, *, but_for_dead_letters: bool) -> bool:
    from unitrack.delivery.status import read_run_state
    from unitrack.errors import UnitrackError

    try:
        state = read_run_state(folder)
        return state.is_complete and (but_for_dead_letters or not any(sink.dead_lettered for sink in state.sinks))
    except UnitrackError:
        return False  # to be named with its error, not passed over


def _sync_one(
    folder: RunFolder, timeout: float, to: SinkSettings | None, *, dead_letters: bool, assume_dead: bool
) -> DeliveryReport:
    from unitrack.delivery.sync import sync_run

    with _progress() as show:
        return sync_run(
            folder, timeout=max(0.0, timeout), to=to, dead_letters=dead_letters, assume_dead=assume_dead, show=show
        )


@contextmanager
def _progress() -> Iterator[Callable[[DeliveryReport], None]]:
    """Show a bar for each sink on standard error, if that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    from unitrack.terminal.console import make_console

    console = make_console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def show(report: DeliveryReport) -> None:
            for name, sink in report.sinks.items():
                if name not in tasks:
                    tasks[name] = progress.add_task(name)
                passed = sink.delivered + sink.dead_lettered + sink.damaged
                progress.update(tasks[name], completed=passed, total=passed + sink.pending)

        yield show
