"""`unitrack rerun`: a run done once more, from its exact code, and compared with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.reading import StoredRun
    from unitrack.rerun.plan import Plan

_ERROR = 2
_INTERRUPTED = 130
"""The exit code of a shell for a program that Ctrl-C has ended."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rerun")(rerun_run)


def rerun_run(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, its name under the root, a run id, or LOCATION#RUN.",
            autocompletion=completion.local_runs,
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before anything is run.")] = False,
    environment: Annotated[
        str,
        typer.Option(
            "--env",
            metavar="ENV",
            help="The packages: `recorded`, `current` (of this environment), or a lock file in the code such as"
            " pylock.toml.",
        ),
    ] = "recorded",
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="X", min=0, help="How far a value may deviate, relatively.")
    ] = 0.0,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="GLOB", help="A metric that need not be the same; repeatable."),
    ] = None,
    link: Annotated[
        list[str] | None,
        typer.Option(
            "--link", metavar="PATH", help="A path in the repository that git ignores, such as data; repeatable."
        ),
    ] = None,
    sinks: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="NAME",
            help="A sink or backend that gets the new run beside the local files; repeatable.",
            autocompletion=completion.sinks,
        ),
    ] = None,
    repository: Annotated[
        Path | None, typer.Option("--repository", metavar="DIR", help="The clone that has the code of the run.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the work tree and the environment once the program has started.")
    ] = False,
    as_json: AS_JSON = False,
) -> None:
    """Do a run once more from its exact code, arguments, variables and packages, and compare the metrics.

    The code is checked out in a temporary git worktree; yours is left alone. The new run goes to the local files, and
    its tag `unitrack.rerun_of` names the first one.

    Exit code 0 if every metric is the same, or within the tolerance; 1 if not; 2 if it could not be rerun; 130 if
    Ctrl-C came before the program had started.
    """
    import math

    from unitrack.cli.arguments import configured_root
    from unitrack.config.sinks import DEFAULT_BACKEND
    from unitrack.errors import UnitrackError
    from unitrack.manager.choosing import choose_run
    from unitrack.rerun.plan import Wishes, make_plan, read_record
    from unitrack.rerun.rerun import compare, execute
    from unitrack.rerun.workplace import new_workplace
    from unitrack.terminal.console import make_console, print_json, visible

    if not math.isfinite(tolerance):
        raise typer.BadParameter("it must be a finite number", param_hint="--tolerance")
    try:
        stored = choose_run(run)
        _check_sinks(stored, sinks or ())
        with new_workplace() as place:
            record = read_record(stored, place.folder)
            own = stored.folder
            wishes = Wishes(
                environment=environment,
                repository=repository,
                links=tuple(link or ()),
                sinks=tuple(dict.fromkeys((DEFAULT_BACKEND, *(sinks or ())))),
                root=(own.parent if own is not None else configured_root()).absolute(),
            )
            plan = make_plan(stored, record, wishes, Path.cwd())
            if dry_run and as_json:
                print_json(plan)
                return
            plan.print_to(make_console(stderr=as_json))
            if dry_run:
                return
            _ask(plan, yes)
            started = execute(
                plan,
                stored,
                record,
                place,
                keep=keep,
                to_stderr=as_json,
                say=lambda text: typer.echo(f"unitrack: {visible(text)}", err=True),
            )
            if place.is_kept:
                top = place.folder / plan.code.folder_name
                typer.echo(f"kept: {place.folder}; `git worktree remove --force {top}` removes the work tree", err=True)
            result = compare(stored, record, started, place.folder, tolerance=tolerance, ignore=tuple(ignore or ()))
    except UnitrackError as error:
        typer.echo(f"error: {visible(error)}", err=True)
        raise typer.Exit(_ERROR) from None
    except KeyboardInterrupt:
        typer.echo("stopped: the work tree is removed, and no run was started", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        from msgspec.structs import asdict

        print_json({"reproduced": result.reproduced, "verdict": result.verdict} | asdict(result))
    else:
        result.print_to(make_console())
    if not result.metrics:
        raise typer.Exit(_ERROR)
    raise typer.Exit(0 if result.reproduced else 1)


def _check_sinks(run: StoredRun, names: Iterable[str]) -> None:
    """Raise `ConfigError` for a name that is neither a backend nor a sink that is configured here, or was in the run.

    The program may configure others, but those of a run whose folder is at hand are known.
    """
    from unitrack.cli.arguments import choose_sink, configured
    from unitrack.manager.links import manifest_of
    from unitrack.runfolder.run_folder import RunFolder

    manifest = manifest_of(RunFolder(run.folder)) if run.folder is not None else None
    if manifest is not None:
        of_the_run = {sink.name for sink in manifest.sinks}
        for name in names:
            if name not in of_the_run:
                choose_sink(configured(), name)


def _ask(plan: Plan, yes: bool) -> None:
    """Ask whether to go on. Raises `ConfigError` if nobody can be asked."""
    from unitrack.errors import ConfigError

    if yes:
        return
    if not can_be_asked():
        raise ConfigError("this runs the program above: say so by --yes, since nobody can be asked here")
    if not typer.confirm("Run it?", default=False, err=True):
        raise typer.Exit(_ERROR)


def can_be_asked() -> bool:
    """Return whether standard input is a terminal."""
    import sys

    return sys.stdin.isatty()
