"""What the commands that change a run share: the runs that are meant, and the report of what was delivered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from unitrack.delivery.report import DeliveryReport
    from unitrack.runfolder.run_folder import RunFolder

Edit = Callable[["RunFolder"], "DeliveryReport"]


def edit_runs(arguments: Sequence[str], edit: Edit, done: str, *, as_json: bool) -> None:
    """Change each run that the arguments mean, and say which sinks have it. Exit code 1 if one does not have it yet."""
    from unitrack.cli import FAILED
    from unitrack.cli.arguments import choose_runs
    from unitrack.terminal.console import print_json, visible

    reports = {}
    for choice in choose_runs(arguments):
        manifest = choice.folder.read_manifest()
        report = reports[manifest.run.run_id] = edit(choice.folder)
        if not as_json:
            pending = [str(sink) for sink in report.sinks.values() if not sink.ok]
            where = ", ".join(name for name, sink in report.sinks.items() if sink.ok)
            typer.echo(visible(f"{manifest.run.name} ({manifest.run.run_id}): {done}{f' in {where}' if where else ''}"))
            for line in pending:
                typer.echo(visible(f"  not yet in {line}"), err=True)
    if as_json:
        print_json({run_id: list(report.sinks.values()) for run_id, report in reports.items()})
    if not all(report.ok for report in reports.values()):
        raise typer.Exit(FAILED)
