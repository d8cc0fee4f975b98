"""`unitrack show`: one run, as its local files tell it, or any other backend that holds it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unitrack.cli.parameters import AS_JSON, FROM, STORED_RUN

if TYPE_CHECKING:
    from rich.console import Console

    from unitrack.cli.run_contents import RunContents
    from unitrack.manager.comparison import Comparison
    from unitrack.reading import History, StoredRun

_ROWS = 1_000
"""Metrics in the table: with 100,000 it would take a minute."""
_CURVES = 50
"""Metrics whose curves are drawn: reading the points of thousands would take long."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show_run)


def show_run(
    run: STORED_RUN,
    location: FROM = None,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff", help="Compare it with the run before: of its project, and of its name but for a number."
        ),
    ] = False,
    as_json: AS_JSON = False,
) -> None:
    """Show a run's params, metrics in short with their curves, tags, artifacts, delivery, and where it lies."""
    from msgspec.structs import asdict

    from unitrack.cli.run_contents import contents_of
    from unitrack.manager.choosing import choose_run
    from unitrack.terminal.console import make_console, print_json

    stored = choose_run(run, location)
    contents = contents_of(stored)
    comparison = _with_the_one_before(stored, location) if diff else None
    if as_json:
        print_json(asdict(contents) | ({"diff": comparison.to_dict()} if comparison else {}))
        return
    console = make_console()
    histories = stored.histories(list(contents.metrics)[:_CURVES])
    _print(console, contents, _curves(histories), _non_finite(histories))
    if comparison is not None:
        console.print()
        comparison.print_to(console)


def _with_the_one_before(run: StoredRun, location: str | None) -> Comparison:
    import unitrack
    from unitrack.errors import NotFoundError
    from unitrack.manager.comparison.previous import run_before

    place = location if location is not None or run.folder is None else run.folder.parent
    before = run_before(run, unitrack.runs(place))
    if before is None:
        raise NotFoundError(
            f"there is no run before {run.name!r} of its project and kind: compare it by name, as with "
            f"`unitrack compare RUN {run.name}`"
        )
    return unitrack.compare(before, run)


def _curves(histories: Mapping[str, History]) -> dict[str, str]:
    """Return a sparkline of each metric."""
    from unitrack.cli.curves import in_one_line

    return {name: in_one_line(history) for name, history in histories.items()}


def _non_finite(histories: Mapping[str, History]) -> dict[str, str]:
    """Return a sentence on each metric that has points which are NaN or infinite."""
    import math

    sentences = {}
    for name, history in histories.items():
        steps = [step for step, value in zip(history.steps, history.values, strict=True) if not math.isfinite(value)]
        if steps:
            are = f"{len(steps):,} of {len(history):,} points {'is' if len(steps) == 1 else 'are'}"
            sentences[name] = f"{are} NaN or infinite, the first at step {steps[0]}"
    return sentences


def _print(console: Console, contents: RunContents, curves: Mapping[str, str], non_finite: Mapping[str, str]) -> None:
    from unitrack.cli.delivery_tables import print_refusals
    from unitrack.delivery.report import verdict
    from unitrack.records import USED
    from unitrack.terminal.console import ago, cell, from_here, make_table

    headline = cell(contents.name, "bold")
    headline.append(f"  {contents.run_id}  {contents.status}, started {ago(contents.started)}", style="not bold")
    console.print(headline)
    console.print(cell(from_here(contents.folder or contents.location), "dim"), soft_wrap=True)
    if contents.description:
        console.print(cell(contents.description))
    _print_pairs(console, "params", _without_packages(contents.params))
    _print_pairs(console, "uses", contents.uses)
    _print_pairs(console, "tags", {name: text for name, text in contents.tags.items() if not name.startswith(USED)})
    if contents.metrics:
        numbers = ("last", "min", "max", "points", "last step")
        table = make_table("metrics", *numbers, "curve", right=numbers)
        for name, metric in itertools.islice(contents.metrics.items(), _ROWS):
            values = (_short(metric.last), _short(metric.min), _short(metric.max), metric.points, metric.last_step)
            table.add_row(cell(name), *(cell(value) for value in values), cell(curves.get(name, "")))
        console.print()
        console.print(table)
        if len(contents.metrics) > _ROWS:
            console.print(f"and {len(contents.metrics) - _ROWS:,} more metrics, which --json has")
    for name, sentence in non_finite.items():
        console.print(cell(f"{name}: {sentence}", "yellow"))
    print_refusals(console, contents.refused)
    if contents.artifacts:
        table = make_table("artifacts", "type", "bytes", "version", right=("bytes",))
        for artifact in contents.artifacts:
            version = artifact.version
            label = f"{version.name}:{version.label}" if version else ""
            table.add_row(cell(artifact.name), cell(artifact.type), cell(artifact.size), cell(label))
        console.print()
        console.print(table)
    if contents.delivery:
        table = make_table("delivery", "state", "pending", right=("pending",))
        for one in contents.delivery:
            state = cell(verdict(one.state, one.dead_lettered + one.damaged), "green" if one.is_whole else "yellow")
            table.add_row(cell(one.sink), state, cell(one.pending))
        console.print()
        console.print(table)
    if contents.links:
        console.print()
        console.print(cell("open with", "bold"))
        for sink, link in contents.links.items():
            console.print(cell(f"{sink}: {from_here(link.url or link.open_with or link.location)}"), soft_wrap=True)


def _without_packages(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params with the number of packages in place of each package's version: there are hundreds."""
    from unitrack.environment.snapshot import is_package

    shown = {name: value for name, value in params.items() if not is_package(name)}
    left_out = len(params) - len(shown)
    return shown | ({"packages": f"{left_out} versions, which --json has"} if left_out else {})


def _print_pairs(console: Console, title: str, pairs: Mapping[str, Any]) -> None:
    from unitrack.terminal.console import cell, make_table

    if pairs:
        table = make_table(title, "")
        for name, value in pairs.items():
            table.add_row(cell(name), cell(value))
        console.print()
        console.print(table)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
