"""`unitrack status`: what has arrived where, what is pending, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.delivery.status import RunState
    from unitrack.runfolder.run_folder import RunFolder


_NAMED = 3
"""Runs whose ids are printed, of those that a sentence counts."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(show_status)


def show_status(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|FOLDER",
            help="Runs, by folder or id, or folders of runs. Default: the configured root.",
            autocompletion=completion.local_runs,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also runs of which every sink has everything.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Show for each run and sink what is delivered, pending or a dead letter, newest run first.

    Without --all, of a folder of runs only those that are not complete.
    """
    from unitrack.cli import FAILED
    from unitrack.cli.arguments import choose_runs, configured_root, no_runs
    from unitrack.terminal.console import from_here, print_json, visible

    chosen = choose_runs(runs or [])
    named = {str(choice.folder.path.resolve()) for choice in chosen if choice.named}
    states, unreadable = _read([choice.folder for choice in chosen])
    shown = [state for state in states if all_ or not state.is_complete or state.folder in named]
    if as_json:
        print_json(shown)
    else:
        _print(shown, states)
    for problem in unreadable:
        typer.echo(visible(from_here(problem)), err=True)
    if not chosen and not as_json:
        typer.echo(no_runs(configured_root()))
    if unreadable:
        raise typer.Exit(FAILED)


def _print(shown: list[RunState], states: list[RunState]) -> None:
    from unitrack.cli.delivery_tables import print_run
    from unitrack.terminal.console import make_console

    console = make_console()
    for state in shown:
        print_run(console, state)
    if hidden := [state for state in states if state not in shown]:
        typer.echo(_summary(len(hidden), lacking=sum(map(_lacks_records, hidden))))
        if refusing := [state.run_id for state in hidden if state.refused]:
            what = f"log calls of {len(refusing)} of them refused points"
            typer.echo(
                f"{what}: unitrack status {' '.join(refusing[:_NAMED])}{' ...' if len(refusing) > _NAMED else ''}"
            )


def _read(folders: list[RunFolder]) -> tuple[list[RunState], list[str]]:
    from unitrack.delivery.status import read_run_state
    from unitrack.errors import JournalError

    states, unreadable = [], []
    for folder in folders:
        try:
            states.append(read_run_state(folder))
        except JournalError as error:
            unreadable.append(f"{folder.path}: {error.strerror}")
    return sorted(states, key=lambda state: state.started, reverse=True), unreadable


def _lacks_records(state: RunState) -> bool:
    return any(sink.dead_lettered or sink.damaged for sink in state.sinks)


def _summary(complete: int, lacking: int) -> str:
    text = f"{complete} {'run is' if complete == 1 else 'runs are'} complete (--all shows them)"
    return f"{text}; {lacking} of them but for dead letters or damaged records" if lacking else text
