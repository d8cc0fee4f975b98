"""`unitrack artifacts`: named artifacts, their versions, who made and used them, and what may go."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.artifacts.events import Version
    from unitrack.artifacts.names import Wanted
    from unitrack.artifacts.registry import NamedArtifact, Registry
    from unitrack.artifacts.retention import Candidate

PROJECT = Annotated[
    str | None, typer.Option("--project", metavar="NAME", help="Its project. Default: the one that has it.")
]
ROOT = Annotated[Path | None, typer.Option("--root", metavar="FOLDER", help="Folder of runs. Default: as configured.")]
VERSION = Annotated[
    str,
    typer.Argument(
        metavar="NAME:VERSION",
        help="Such as model:v3, model:best, or model for its latest version.",
        autocompletion=completion.versions,
    ),
]
NAME = Annotated[str, typer.Argument(metavar="NAME", help="Such as model.", autocompletion=completion.artifacts)]


def register(app: typer.Typer) -> None:
    """Add the command, and those below it."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(overview)
    for name, command in (
        ("list", list_artifacts),
        ("versions", list_versions),
        ("show", show_version),
        ("get", get_version),
        ("alias", move),
        ("verify", verify_versions),
        ("clean", clean_versions),
    ):
        group.command(name)(command)
    app.add_typer(group, name="artifacts")


def overview(context: typer.Context) -> None:
    """List named artifacts, and look after their versions: lineage, aliases, integrity, retention."""
    if context.invoked_subcommand is None:
        list_artifacts()


def list_artifacts(project: PROJECT = None, root: ROOT = None, as_json: AS_JSON = False) -> None:
    """List the artifacts of a root, or of one project, with their aliases."""
    from unitrack.artifacts.settling import settle_pending
    from unitrack.cli.artifact_tables import print_artifacts, row_of
    from unitrack.terminal.console import from_here, print_json

    registry = _registry(root)
    found = list(registry.artifacts(project))
    for artifact in found:
        settle_pending(artifact)
    rows = [row_of(artifact) for artifact in found]
    if as_json:
        print_json(rows)
    elif rows:
        print_artifacts(rows)
    else:
        typer.echo(f"no artifacts in {from_here(registry.root)}: log one with log_artifact(path, name=...)")


def list_versions(name: NAME, project: PROJECT = None, root: ROOT = None, as_json: AS_JSON = False) -> None:
    """List the versions of an artifact, the newest first."""
    from unitrack.artifacts.finding import find_version
    from unitrack.cli.artifact_tables import print_versions
    from unitrack.terminal.console import print_json

    artifact, wanted = _named(name, project, root)
    find_version(artifact, wanted)
    state = artifact.read()
    if as_json:
        print_json(list(state.versions.values()))
    else:
        print_versions(state)


def show_version(version: VERSION, project: PROJECT = None, root: ROOT = None, as_json: AS_JSON = False) -> None:
    """Show a version: where it lies, its files, the run that made it and of what, and the runs that used it."""
    from unitrack.artifacts.finding import describe, find_version
    from unitrack.artifacts.lineage import inputs_of
    from unitrack.cli.artifact_tables import Details, print_details
    from unitrack.terminal.console import print_json

    artifact, wanted = _named(version, project, root)
    known = find_version(artifact, wanted)
    details = Details(
        artifact=describe(artifact, known),
        also_made_by=tuple(known.also_made_by),
        used_by=tuple(known.used_by),
        inputs=tuple(inputs_of(artifact.registry, known.made_by.id)),
        metric=known.metric,
        replaced=known.replaced,
    )
    if as_json:
        print_json(msgspec.to_builtins(details, enc_hook=str))  # for the path
    else:
        print_details(details, known)


def get_version(
    version: VERSION,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to put it.")] = Path(),
    project: PROJECT = None,
    root: ROOT = None,
) -> None:
    """Copy a version into a folder, in place of what has its name there."""
    from unitrack.artifacts.finding import describe, find_version
    from unitrack.artifacts.getting import copy_to
    from unitrack.terminal.console import from_here

    artifact, wanted = _named(version, project, root)
    found = describe(artifact, find_version(artifact, wanted))
    typer.echo(f"{found} is now {from_here(copy_to(found, folder.expanduser()))}")


def move(
    version: VERSION,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="Such as best or production.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias away instead.")] = False,
    project: PROJECT = None,
    root: ROOT = None,
) -> None:
    """Move an alias to a version, or take it away, here and in the backends that have aliases of their own."""
    from unitrack.artifacts.aliases import move_alias, remove_alias

    artifact, wanted = _named(version, project, root)
    if remove:
        removed = remove_alias(artifact, alias)
        typer.echo(f"{artifact.name} has no {alias} any more")
        _tell_backends(artifact, removed, alias, f"-{removed.label}")
        return
    moved = move_alias(artifact, wanted, alias)
    typer.echo(f"{artifact.name}:{alias} is now {moved.label}")
    _tell_backends(artifact, moved, alias, moved.label)


def verify_versions(
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME:VERSION",
            help="All versions if it is a name alone. Default: all artifacts.",
            autocompletion=completion.versions,
        ),
    ] = None,
    project: PROJECT = None,
    root: ROOT = None,
    as_json: AS_JSON = False,
) -> None:
    """Read the content of versions as a whole, and compare it with what was logged. Exit code 1 if one differs."""
    from unitrack.artifacts.finding import find_version
    from unitrack.artifacts.integrity import check_versions
    from unitrack.cli import FAILED
    from unitrack.terminal.console import in_bytes, print_json, visible

    if version is None:
        checks = list(check_versions(_registry(root).artifacts(project)))
    else:
        artifact, wanted = _named(version, project, root)
        number = find_version(artifact, wanted).number if ":" in version else None
        checks = list(check_versions([artifact], number))
    wrong = [check for check in checks if not check.ok]
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            for text in (*check.problems, *((check.note,) if check.note else ())):
                typer.echo(visible(f"{check.name}:{check.version}: {text}"))
        size = in_bytes(sum(check.size for check in checks))
        typer.echo(f"{_versions(len(checks))}, {size}: {f'{len(wrong)} damaged' if wrong else 'all whole'}")
    if wrong:
        raise typer.Exit(FAILED)


def clean_versions(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One artifact. Default: all.", autocompletion=completion.artifacts),
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", min=0, help="All but the newest N versions of each artifact.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="DURATION", help="Versions logged longer ago: 30d, 12h, 2w.")
    ] = None,
    unused: Annotated[bool, typer.Option("--unused", help="Versions that no run has used.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it. Without it, only show what would go.")] = False,
    project: PROJECT = None,
    root: ROOT = None,
    as_json: AS_JSON = False,
) -> None:
    """Show the versions for which all of the options are true, and, with --yes, remove their content.

    A version with an alias always stays, so the latest one does. Numbers stay taken. What run folders and other
    backends hold stays too.
    """
    from unitrack.artifacts.retention import Rules, choose, remove_versions
    from unitrack.cli.arguments import duration
    from unitrack.errors import ConfigError
    from unitrack.terminal.console import print_json

    rules = Rules(keep=keep, older_than=duration(older_than, "--older-than"), unused=unused)
    rules.check()
    if name is None:
        registry = _registry(root)
        found = choose(registry.artifacts(project), rules)
    else:
        if ":" in name:
            raise ConfigError(f"clean takes an artifact, not one version: {name.partition(':')[0]}")
        artifact, _ = _named(name, project, root)
        registry = artifact.registry
        found = choose([artifact], rules)
    freed = None
    if yes:
        found, freed = remove_versions(registry, found)
    if as_json:
        print_json({"removed": yes, "freed": freed, "versions": found})
    else:
        _print_cleaned(found, freed)


def _print_cleaned(found: list[Candidate], freed: int | None) -> None:
    from unitrack.terminal.console import Column, ago, fit, in_bytes, make_console, print_columns

    if found:
        console = make_console()
        columns = [
            Column("version", [f"{one.name}:{one.version}" for one in found]),
            Column("size", [in_bytes(one.size) for one in found]),
            Column("logged", [ago(one.time) for one in found]),
            Column("made by", [one.made_by.name or one.made_by.id for one in found]),
            Column("used by", [", ".join(run.name or run.id for run in one.used_by) for one in found]),
        ]
        print_columns(console, fit(columns, console.width))
    if freed is not None:
        typer.echo(f"{_versions(len(found))} removed, {in_bytes(freed)} free")
    else:
        size = in_bytes(sum(one.size for one in found))
        hint = "; nothing was removed: add --yes to do it" if found else ""
        typer.echo(f"{_versions(len(found))}, {size}{hint}")


def _registry(root: Path | None) -> Registry:
    from unitrack.artifacts.registry import Registry
    from unitrack.cli.arguments import configured_root

    return Registry((root or configured_root()).expanduser().absolute())


def _named(text: str, project: str | None, root: Path | None) -> tuple[NamedArtifact, Wanted]:
    """Return the artifact that is meant, with its newest versions counted, and which version of it."""
    from unitrack.artifacts.names import parse_wanted
    from unitrack.artifacts.settling import settle_pending
    from unitrack.config import resolve
    from unitrack.config.project import FALLBACK
    from unitrack.errors import ConfigError

    wanted, registry = parse_wanted(text), _registry(root)
    if project is None:
        here = resolve().settings.experiment.project or FALLBACK
        having = [one.project for one in registry.artifacts() if one.name == wanted.name]
        if here not in having and len(having) > 1:
            raise ConfigError(f"several projects have an artifact {wanted.name!r}: give --project {having[0]}")
        project = having[0] if having and here not in having else here
    artifact = registry.artifact(project, wanted.name)
    settle_pending(artifact)
    return artifact, wanted


def _tell_backends(artifact: NamedArtifact, version: Version, alias: str, change: str) -> None:
    """Tag the run that made a version with what became of the alias, so that backends change their own aliases."""
    from unitrack.manager.editing import edit_run
    from unitrack.records import ALIAS
    from unitrack.runfolder.find import is_run_folder
    from unitrack.runfolder.run_folder import RunFolder
    from unitrack.terminal.console import visible

    path = artifact.registry.root / PurePosixPath(version.made_by.folder).name
    if not version.made_by.folder or not is_run_folder(path):
        maker = visible(version.made_by.name or version.made_by.id)
        typer.echo(f"  under this root only: the run {maker}, which logged {version.label}, is not here", err=True)
    else:
        report = edit_run(RunFolder(path), tags={f"{ALIAS}{artifact.name}:{alias}": change})
        for sink in report.sinks.values():
            if not sink.ok:
                typer.echo(visible(f"  not yet in {sink}"), err=True)


def _versions(number: int) -> str:
    return "1 version" if number == 1 else f"{number} versions"
