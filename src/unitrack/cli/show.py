"""`unitrack show`: one run, as its local files tell it, or any other backend that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unitrack.cli import _completion

if TYPE_CHECKING:
    from rich.console import Console

    from unitrack.cli._run_contents import RunContents


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show)


def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, its name under the root, or a run id; with --from an id or a name there.",
            autocompletion=_completion.local_runs,
        ),
    ],
    location: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LOCATION",
            help="Where it lies: BACKEND:PLACE, such as wandb:DIR, or a folder.",
            autocompletion=_completion.locations,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a run's params, metrics in short, tags, artifacts, and where it lies."""
    from unitrack.cli._console import make_console, print_json

    contents = _read_local(run) if location is None else _read_from(location, run)
    if as_json:
        print_json(contents)
    else:
        _print(make_console(), contents)


def _read_local(run: str) -> RunContents:
    from unitrack.cli._choosing import configured_root, find_by_id
    from unitrack.cli._run_contents import holds_run, read_contents

    root = configured_root()
    path = next((path for path in (Path(run).expanduser(), root / run) if holds_run(path)), None)
    return read_contents(path if path is not None else find_by_id(run, root).path)


def _read_from(location: str, run: str) -> RunContents:
    import unitrack
    from unitrack.cli._run_contents import contents_of

    return contents_of(unitrack.runs(location).find(run))


def _print(console: Console, contents: RunContents) -> None:
    from unitrack.cli._console import ago, cell, from_here, make_table

    headline = cell(contents.name, "bold")
    headline.append(f"  {contents.run_id}  {contents.status}, started {ago(contents.started)}", style="not bold")
    console.print(headline)
    console.print(cell(from_here(contents.folder or contents.location), "dim"), soft_wrap=True)
    if contents.description:
        console.print(cell(contents.description))
    _print_pairs(console, "params", contents.params)
    _print_pairs(console, "tags", contents.tags)
    if contents.metrics:
        numbers = ("last", "min", "max", "points", "last step")
        table = make_table("metrics", *numbers, right=numbers)
        for name, one in contents.metrics.items():
            values = (_short(one.last), _short(one.min), _short(one.max), one.points, one.last_step)
            table.add_row(cell(name), *(cell(value) for value in values))
        console.print()
        console.print(table)
    if contents.artifacts:
        table = make_table("artifacts", "type", "bytes", right=("bytes",))
        for artifact in contents.artifacts:
            table.add_row(cell(artifact.name), cell(artifact.type), cell(artifact.size))
        console.print()
        console.print(table)
    if contents.links:
        console.print()
        console.print(cell("open with", "bold"))
        for sink, link in contents.links.items():
            console.print(cell(f"{sink}: {from_here(link.url or link.open_with or link.location)}"), soft_wrap=True)


def _print_pairs(console: Console, title: str, pairs: Mapping[str, Any]) -> None:
    from unitrack.cli._console import cell, make_table

    if pairs:
        table = make_table(title, "")
        for name, value in pairs.items():
            table.add_row(cell(name), cell(value))
        console.print()
        console.print(table)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
