"""`unitrack demo`: train, log everywhere, read back from everywhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.demo.logged_run import Logged
    from unitrack.demo.report import Row
    from unitrack.demo.training import Step
    from unitrack.manager.verification import Verification
    from unitrack.plugins.registry import Plugins


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(run_demo)


def run_demo(
    sinks: Annotated[
        str, typer.Option("--sinks", metavar="BACKEND,...", help="Which backends to log to.")
    ] = "local,mlflow,wandb,tensorboard",
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Steps to train.")] = 200,
    dir_: Annotated[
        Path, typer.Option("--dir", metavar="FOLDER", help="Where everything is written; nothing is elsewhere.")
    ] = Path("unitrack-demo"),
    as_json: AS_JSON = False,
) -> None:
    """Train a small network, log it to all backends at once, read it back from each, and compare.

    Needs no account, server or network. A backend that is not installed is named and left out.

    Exit code 1 if a backend does not hold what was logged.
    """
    from unitrack.demo import sinks as demo_sinks
    from unitrack.demo.report import print_report, report_as_json
    from unitrack.plugins.registry import installed
    from unitrack.terminal.console import make_console

    _need_packages()
    plugins = installed()
    names = [name.strip() for name in sinks.split(",") if name.strip()]
    chosen = demo_sinks.choose(names, plugins, dir_.expanduser().resolve())
    for name, why in chosen.left_out.items():
        typer.echo(f"without {name}: {why}", err=True)
    if not chosen.entries:
        raise typer.BadParameter("no sink is left", param_hint="--sinks")
    if not as_json:
        backends = "one backend" if len(chosen.entries) == 1 else f"{len(chosen.entries)} backends at once"
        make_console().print(f"A neural network learns handwritten digits; its run is logged to {backends}.\n")
    logged = _log(chosen.entries, steps, dir_.expanduser().resolve())
    rows = _read(logged, plugins)
    verification = _verify(logged, rows)
    if as_json:
        report_as_json(logged, rows, verification)
    else:
        print_report(make_console(), logged, rows, verification)
    if not all(row.ok for row in rows) or (verification is not None and not verification.ok):
        raise typer.Exit(1)


def _verify(logged: Logged, rows: list[Row]) -> Verification | None:
    """Compare the backends with each other; None if there are not several that can be read."""
    from unitrack.manager.verification import verify
    from unitrack.terminal.console import make_console

    if len(rows) < 2 or any(row.match is None for row in rows):
        return None
    with make_console(stderr=True).status("verifying: times, params, tags and files"):
        return verify(logged.path)


def _need_packages() -> None:
    from unitrack.errors import MissingPackageError
    from unitrack.system.installation import CORE, install_command

    for module in ("sklearn", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            command = install_command(f"{CORE}[demo]")
            raise MissingPackageError(f"the demo needs the package {module!r}: run `{command}`")


def _log(entries: list[dict[str, dict[str, object]]], steps: int, folder: Path) -> Logged:
    from unitrack.demo.logged_run import log_training
    from unitrack.demo.training import Training

    with _training_bar(steps) as show:
        return log_training(Training(steps), entries, folder, show)


@contextmanager
def _training_bar(steps: int) -> Iterator[Callable[[Step], None]]:
    """Show a bar on standard error, and remove it before `finish()` shows its own."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from unitrack.terminal.console import make_console

    columns = TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=make_console(stderr=True)) as progress:
        task = progress.add_task("", total=steps)

        def show(step: Step) -> None:
            progress.update(task, advance=1, description=f"loss {step.loss:.4f}, accuracy {step.accuracy:.1%}")
            if step.number + 1 == steps:
                progress.stop()

        yield show


def _read(logged: Logged, plugins: Plugins) -> list[Row]:
    from unitrack.demo.report import row_of
    from unitrack.terminal.console import make_console

    rows = []
    with make_console(stderr=True).status("reading back") as status:
        for name in logged.report.sinks:
            status.update(f"reading back from {name}, with its own SDK")
            rows.append(row_of(plugins.backend(name), logged))
    return rows
