"""`unitrack copy`: bring runs from one backend to another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from rich.console import Console

    from unitrack.config import SinkSettings
    from unitrack.manager.copy_report import CopiedRun, CopyProgress, CopyReport

_STYLES = {"copied": "green", "went on": "green", "incomplete": "yellow", "failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("copy")(copy_runs)


def copy_runs(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SRC", help="Locations to copy from.", autocompletion=completion.locations),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST", help="The location to copy to, or the name of a sink.", autocompletion=completion.locations
        ),
    ],
    filter: Annotated[
        str | None, typer.Option("--filter", metavar="QUERY", help="Copy only the runs that match.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="Another name for metrics, params and artifacts."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="NAME", help="Metrics, params and artifacts to leave out.")
    ] = None,
    until_step: Annotated[
        int | None, typer.Option("--until-step", metavar="N", min=0, help="Leave out what has a higher step.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag for the copies.")] = None,
    merge: Annotated[
        str | None, typer.Option("--merge", metavar="NAME", help="Make one run of this name of all of them.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be copied.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Copy runs to another backend. Exit code 1 if not everything arrived.

    OLD and NAME may be globs. Stopped at any point, the same command goes on where it was.
    """
    from unitrack.cli import FAILED
    from unitrack.cli.arguments import pairs_of
    from unitrack.manager.copying import copy
    from unitrack.terminal.console import make_console, print_json

    with _progress() as show:
        report = copy(
            sources,
            _target(destination),
            filter=filter,
            rename=pairs_of(rename or [], "--rename", "OLD=NEW"),
            drop=drop or [],
            until_step=until_step,
            tags=pairs_of(tag or [], "--tag", "KEY=VALUE"),
            merge=merge,
            dry_run=dry_run,
            show=show,
        )
    if as_json:
        print_json(report)
    else:
        _print(make_console(), report)
    if not report.ok:
        raise typer.Exit(FAILED)


def _target(text: str) -> str | SinkSettings:
    """Return the sink of this name, if one is configured or a backend is called so; else the text, as a location."""
    from unitrack.cli.arguments import choose_sink, configured
    from unitrack.reading.location import known_backends

    resolved = configured()
    names = {sink.name for sink in resolved.settings.sinks} | known_backends()
    is_name = text in names and not os.path.exists(text)
    return choose_sink(resolved, text) if is_name else text


@contextmanager
def _progress() -> Iterator[Callable[[CopyProgress], None]]:
    """Show a bar for all runs on standard error, with rate and time left, if that is a terminal."""
    import time

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from unitrack.terminal.console import make_console, visible

    console = make_console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, rate="", visible=False)
        begun, before, latest = time.monotonic(), 0, (0, 0)

        def show(now: CopyProgress) -> None:
            nonlocal before, latest
            if now.run != latest[0]:
                before += latest[1]
            latest = now.run, now.points
            part = now.delivered or 0.0
            rate = (before + part * now.points) / max(time.monotonic() - begun, 0.1)
            doing = "reading" if now.delivered is None else "copying"
            progress.update(
                task,
                visible=True,
                description=visible(f"{doing} {now.run + 1} of {now.runs}: {now.name}"),
                completed=now.run + part,
                total=now.runs,
                rate=f"{rate:,.0f} points/s" if rate else "",
            )

        yield show


def _print(console: Console, report: CopyReport) -> None:
    from unitrack.terminal.console import cell, from_here, make_table

    numbers = ("metrics", "points", "params", "artifacts")
    shown = tuple(name for name in numbers if not report.dry_run or name in ("metrics", "params"))
    table = make_table("run", "id", "copy", *shown, right=numbers)
    for run in report.runs:
        state = run.state if run.ok or run.error else f"{run.state}, not whole"
        counts = (cell(f"{getattr(run, name):,}") for name in shown)
        table.add_row(cell(run.name), cell(run.copy_id), cell(state, _STYLES.get(run.state, "")), *counts)
    if report.runs:
        console.print(table)
    for text, style in _remarks(report.runs):
        console.print(cell(text, style), soft_wrap=True)
    console.print(cell(from_here(str(report)), "bold"), soft_wrap=True)


def _remarks(runs: Sequence[CopiedRun]) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of runs beside the table, each with a style; what holds for several runs once."""
    said: dict[tuple[str, str], list[str]] = {}

    def say(run: CopiedRun, text: str, style: str = "") -> None:
        said.setdefault((text, style), []).append(run.name)

    for run in runs:
        if run.error:
            say(run, run.error, "red")
        for text in run.refused:
            say(run, f"refused: {text}", "red")
        for name, why in run.missing.items():
            say(run, f"artifact {name} could not be read: {why}", "red")
        for text in run.notes:
            say(run, text, "yellow")
        if run.renamed:
            say(run, f"renamed: {', '.join(f'{old} to {new}' for old, new in run.renamed.items())}")
        if run.dropped:
            say(run, f"left out: {', '.join(run.dropped)}")
        if run.cut:
            say(run, f"left out beyond the last step: {run.cut:,} points and artifacts")
    for (text, style), names in said.items():
        whose = names[0] if len(names) == 1 else "all runs" if len(names) == len(runs) else f"{len(names)} runs"
        yield f"{whose}: {text}", style
