"""`unitrack clean`: run folders that nobody needs, into a trash that can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.manager.cleaning import Candidate, Rules
    from unitrack.manager.trash import Trash


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clean")(clean_runs)


def clean_runs(
    root: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of runs. Default: the configured root.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Runs that failed or were killed.")] = False,
    empty: Annotated[bool, typer.Option("--empty", help="Runs without points and artifacts.")] = False,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="DURATION", help="Runs that ended longer ago: 30d, 12h, 2w.")
    ] = None,
    keep_best: Annotated[
        int | None, typer.Option("--keep-best", metavar="N", min=0, help="All but the best N by --metric.")
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", metavar="NAME", help="The metric for --keep-best.")] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            "--goal", metavar="min|max", help="Which value is best. Default: by define_metric, else the metric's name."
        ),
    ] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="QUERY", help="Only runs that match, such as tags.team == 'nlp'.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it. Without it, only show what would go.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back what was cleaned away last.")] = False,
    empty_trash: Annotated[bool, typer.Option("--empty-trash", help="Delete what was cleaned away, for good.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Show the run folders for which all of the options are true, and, with --yes, move them into the trash.

    A run that is running, or has records that a sink still lacks, always stays. What other backends hold of a run stays
    too. Exit code 1 if a run could not be moved.

    Emptying the trash also removes the references `refs/unitrack/<run id>`, which keep the code that runs recorded, of
    runs that no other backend holds.
    """
    from unitrack.cli.arguments import configured_root
    from unitrack.errors import ConfigError
    from unitrack.manager.trash import Trash
    from unitrack.runfolder.find import is_run_folder

    folder = (root or configured_root()).expanduser().absolute()
    if is_run_folder(folder):
        raise ConfigError(f"{folder} is one run: give the folder of runs that it lies in, {folder.parent}")
    trash = Trash(folder)
    if undo:
        batch = trash.bring_back()
        typer.echo(f"{_count(len(batch.runs))} back in {folder}: {', '.join(batch.runs)}")
        return
    if empty_trash:
        _empty(trash, folder, yes=yes)
        return
    rules = _rules(failed, empty, older_than, keep_best, metric, goal, has_filter=filter_ is not None)
    _clean(folder, rules, filter_, yes=yes, as_json=as_json)


def _rules(
    failed: bool,
    empty: bool,
    older_than: str | None,
    keep_best: int | None,
    metric: str | None,
    goal: str | None,
    *,
    has_filter: bool,
) -> Rules:
    from unitrack.cli.arguments import duration
    from unitrack.manager.cleaning import Rules
    from unitrack.values.directions import direction_of

    seconds = duration(older_than, "--older-than")
    direction = None if goal is None else direction_of(metric or "", {metric or "": goal})
    rules = Rules(failed=failed, empty=empty, older_than=seconds, keep_best=keep_best, metric=metric, goal=direction)
    rules.check(has_filter=has_filter)
    return rules


def _clean(root: Path, rules: Rules, query: str | None, *, yes: bool, as_json: bool) -> None:
    import unitrack
    from unitrack.cli import FAILED
    from unitrack.manager.cleaning import choose, put_away
    from unitrack.terminal.console import from_here, print_json

    found = choose(unitrack.runs(root, filter=query), rules)
    going = [one for one in found if not one.kept_because]
    staying = [one for one in found if one.kept_because]
    batch = None
    if yes and going:
        batch, in_use = put_away(going, root)
        going, staying = [one for one in going if one not in in_use], staying + in_use
    if as_json:
        print_json({"moved": yes, "trash": batch and str(batch), "runs": going, "kept": staying})
    else:
        _print(going, staying)
        if batch is not None:
            typer.echo(f"moved to {from_here(batch)}; bring them back with: unitrack clean --undo")
        elif going:
            typer.echo("nothing was moved: add --yes to do it")
    if yes and any(one.kept_because for one in staying):
        raise typer.Exit(FAILED)


def _print(going: list[Candidate], staying: list[Candidate]) -> None:
    from unitrack.terminal.console import Column, ago, fit, in_bytes, make_console, print_columns, visible

    if going:
        console = make_console()
        columns = [
            Column("name", [one.name for one in going]),
            Column("size", [in_bytes(one.size) for one in going]),
            Column("status", [one.status for one in going]),
            Column("id", [one.run_id for one in going]),
            Column("started", [ago(one.started) if one.started else "" for one in going]),
        ]
        print_columns(console, fit(columns, console.width))
    typer.echo(f"{_count(len(going))}, {in_bytes(sum(one.size for one in going))}")
    for one in staying:
        typer.echo(visible(f"{one.name} ({one.run_id}) stays: {one.kept_because}"), err=True)


def _empty(trash: Trash, root: Path, *, yes: bool) -> None:
    from unitrack.manager.trash import size_of
    from unitrack.manager.tree_refs import find_tree_refs, remove_tree_refs
    from unitrack.terminal.console import in_bytes, visible

    batches = trash.batches()
    if not batches:
        typer.echo("the trash is empty")
        return
    number = sum(len(batch.runs) for batch in batches)
    size = in_bytes(sum(size_of(batch.folder) for batch in batches))
    refs = find_tree_refs([batch.folder for batch in batches], root)
    if not yes:
        also = f", with {_refs(len(refs))}" if refs else ""
        typer.echo(f"{_count(number)}, {size}{also}, in the trash: add --yes to delete them for good")
        return
    trash.empty()
    removed, problems = remove_tree_refs(refs)
    also = f", with {_refs(removed)}" if removed else ""
    typer.echo(f"{_count(number)}, {size}, deleted{also}")
    for problem in problems:
        typer.echo(visible(f"warning: {problem}"), err=True)


def _count(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _refs(number: int) -> str:
    return f"{number} reference{'s' if number != 1 else ''} of recorded code in git"
