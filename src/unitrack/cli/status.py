"""`unitrack status`: what has arrived where, what is pending, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from unitrack.cli._run_state import RunState
    from unitrack.runfolder import RunFolder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|ROOT]...", help="Run folders, folders of runs, run ids. Default: the configured root."
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also runs of which every sink has everything.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show for each run and sink what is delivered, pending or a dead letter, newest run first.

    Without --all, of a folder of runs only those that are not complete.
    """
    from unitrack.cli._choosing import choose_runs
    from unitrack.cli._console import from_here, make_console, print_json, visible
    from unitrack.cli._run_printing import print_run

    chosen = choose_runs(runs or [])
    named = {str(choice.folder.path.resolve()) for choice in chosen if choice.named}
    states, unreadable = _read([choice.folder for choice in chosen])
    shown = [state for state in states if all_ or not state.is_complete or state.path in named]
    if as_json:
        print_json(shown)
        return
    console = make_console()
    for state in shown:
        print_run(console, state)
    for problem in unreadable:
        typer.echo(visible(from_here(problem)), err=True)
    hidden = len(states) - len(shown)
    if hidden or not shown:
        typer.echo(_summary(hidden, lacking=sum(_lacks_records(state) for state in states if state not in shown)))


def _read(folders: list[RunFolder]) -> tuple[list[RunState], list[str]]:
    from unitrack.cli._run_state import read_run_state
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
    if not complete:
        return "no runs here"
    text = f"{complete} {'run is' if complete == 1 else 'runs are'} complete (--all shows them)"
    return f"{text}; {lacking} of them but for dead letters or damaged records" if lacking else text
