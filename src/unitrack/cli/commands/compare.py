"""`unitrack compare`: runs beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from rich.console import Console

    from unitrack.manager.comparison import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare_runs)


def compare_runs(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Run folders, names under the root, run ids, LOCATION#RUN; with --from ids or names there.",
            autocompletion=completion.local_runs,
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="RUN", help="Compare with this one of them. Default: the first.")
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LOCATION",
            help="Where the runs lie; without RUN all runs there.",
            autocompletion=completion.locations,
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also what is the same in all runs.")] = False,
    goal: Annotated[
        list[str] | None,
        typer.Option("--goal", metavar="METRIC=min|max", help="Which values are better; may be repeated."),
    ] = None,
    plot: Annotated[
        list[str] | None, typer.Option("--plot", metavar="METRIC", help="Draw its curves; may be repeated.")
    ] = None,
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Compare files by SHA-256; reads them all.")] = False,
    code: Annotated[bool, typer.Option("--code", help="Show how the code differs from the baseline's.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each run.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Compare runs, from any backends: params that differ, metrics with their difference from the baseline."""
    import unitrack
    from unitrack.terminal.console import make_console, print_json

    if not runs and location is None:
        raise typer.BadParameter("name at least two runs, or a location with --from", param_hint="RUN")
    if markdown + as_csv + as_json > 1:
        raise typer.BadParameter("choose one of them", param_hint="--markdown, --csv, --json")
    chosen = list(unitrack.runs(location)) if location is not None and not runs else list(runs or ())
    comparison = unitrack.compare(*chosen, baseline=baseline, goals=_goals(goal or []), location=location)
    if artifacts:
        _ = comparison.artifacts  # read, and shown from now on
    if as_json:
        print_json(comparison.to_dict())
    elif markdown:
        typer.echo(comparison.to_markdown(show_all=show_all), nl=False)
    elif as_csv:
        typer.echo(comparison.to_csv(), nl=False)
    else:
        console = make_console()
        comparison.print_to(console, show_all=show_all)
        _print_curves(console, comparison, plot or [])
        if code:
            _print_code(console, comparison)


def _goals(texts: list[str]) -> dict[str, str]:
    goals = {}
    for text in texts:
        metric, equals, direction = text.rpartition("=")
        if not equals or not metric:
            raise typer.BadParameter(f"expected METRIC=min or METRIC=max, got {text!r}", param_hint="--goal")
        goals[metric] = direction
    return goals


def _print_curves(console: Console, comparison: Comparison, metrics: list[str]) -> None:
    from unitrack.cli.curves import print_curves
    from unitrack.errors import NotFoundError
    from unitrack.names import nearest

    for metric in metrics:
        found = {
            label: history
            for label, run in zip(comparison.labels, comparison.runs, strict=True)
            if (history := run.histories([metric]).get(metric)) is not None
        }
        if not found:
            known = [row.name for row in comparison.metrics]
            close = nearest(metric, known)
            hint = f"did you mean {close!r}?" if close else f"they have {', '.join(known) or 'none'}"
            raise NotFoundError(f"no run has the metric {metric!r}: {hint}")
        console.print()
        print_curves(console, metric, found)


def _print_code(console: Console, comparison: Comparison) -> None:
    from unitrack.manager.comparison.code_diff import diff_code
    from unitrack.terminal.console import cell

    base = comparison.runs[comparison.baseline]
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        if run is not base:
            console.print()
            console.print(cell(f"code of {label} against {comparison.labels[comparison.baseline]}", "bold"))
            console.print(cell(diff_code(base, run).rstrip("\n")), soft_wrap=True)
