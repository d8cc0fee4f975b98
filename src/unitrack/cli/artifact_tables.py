"""What `unitrack artifacts` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from unitrack.terminal.console import Column, ago, cell, fit, from_here, in_bytes, make_console, print_columns, visible

if TYPE_CHECKING:
    from rich.console import Console

    from unitrack.artifacts.events import RunRef, State, Version
    from unitrack.artifacts.finding import FoundArtifact
    from unitrack.artifacts.registry import NamedArtifact


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact."""

    project: str
    name: str
    versions: int
    """How many are kept."""
    latest: str | None
    aliases: dict[str, str]
    """By alias, the version that has it."""
    size: int
    """Bytes of all versions, what they share counted for each."""
    time: int
    """When the newest was logged, in milliseconds since the epoch."""


def row_of(artifact: NamedArtifact) -> ArtifactRow:
    """Return an artifact in short."""
    state = artifact.read()
    kept = [version for version in state.versions.values() if not version.removed]
    aliases = {alias: f"v{number}" for alias, number in state.aliases.items()}
    return ArtifactRow(
        project=artifact.project,
        name=artifact.name,
        versions=len(kept),
        latest=aliases.get("latest"),
        aliases=aliases,
        size=sum(version.size for version in kept if version.reference is None),
        time=max((version.time for version in kept), default=0),
    )


def print_artifacts(rows: Sequence[ArtifactRow]) -> None:
    """Print a table of artifacts."""
    console = make_console()
    columns = [
        Column("artifact", [row.name for row in rows]),
        Column("latest", [row.latest or "" for row in rows]),
        Column("versions", [str(row.versions) for row in rows]),
        Column("aliases", [_aliases_of(row) for row in rows]),
        Column("size", [in_bytes(row.size) for row in rows]),
        Column("project", [row.project for row in rows]),
        Column("logged", [ago(row.time) if row.time else "" for row in rows]),
    ]
    print_columns(console, fit(columns, console.width))


def _aliases_of(row: ArtifactRow) -> str:
    return ", ".join(f"{alias} {label}" for alias, label in row.aliases.items() if alias != "latest")


def print_versions(state: State) -> None:
    """Print a table of versions, the newest first; those that were removed are told apart."""
    versions = list(reversed(state.versions.values()))
    console = make_console()
    columns = [
        Column("version", [version.label for version in versions]),
        Column("aliases", ["removed" if one.removed else ", ".join(one.aliases) for one in versions]),
        Column("size", [in_bytes(version.size) for version in versions]),
        Column("files", ["-" if one.reference else str(one.files) for one in versions]),
        Column("made by", [_run(version.made_by) for version in versions]),
        Column("used by", [", ".join(map(_run, version.used_by)) for version in versions]),
        Column("step", ["" if version.step is None else str(version.step) for version in versions]),
        Column("logged", [ago(version.time) for version in versions]),
        Column("sha256", [version.digest[:12] for version in versions]),
    ]
    print_columns(console, fit(columns, console.width))


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its lineage, as `show --json` prints it."""

    artifact: FoundArtifact
    also_made_by: tuple[RunRef, ...] = ()
    used_by: tuple[RunRef, ...] = ()
    inputs: tuple[str, ...] = ()
    """The versions that the run which made it has used."""
    metric: float | None = None
    replaced: int = 0


def print_details(details: Details, version: Version) -> None:
    """Print a version: what it is, where it lies, its files, who made it of what, and who used it."""
    found = details.artifact
    console = make_console()
    headline = cell(str(found), "bold")
    headline.append(f"  {', '.join(found.aliases)}", style="not bold")
    console.print(headline)
    where = found.path or (found.reference.uri if found.reference else "")
    console.print(cell(from_here(where) if isinstance(where, Path) else where, "dim"), soft_wrap=True)
    console.print()
    pairs = [
        ("logged", ago(found.time)),
        ("size", in_bytes(found.size)),
        ("sha256", found.digest),
        ("type", found.type),
        ("step", "" if found.step is None else str(found.step)),
        ("metric", "" if details.metric is None else f"{details.metric:.6g}"),
        ("replaced", f"{details.replaced} times" if details.replaced else ""),
        ("checksum", found.reference.checksum or found.reference.etag if found.reference else ""),
        ("note", found.reference.note if found.reference else ""),
        ("made by", _run(found.made_by)),
        ("also by", ", ".join(map(_run, details.also_made_by))),
        ("made from", ", ".join(details.inputs)),
        ("used by", ", ".join(map(_run, details.used_by))),
    ]
    for name, value in pairs:
        if value:
            console.print(cell(f"{name:<10} {value}"), soft_wrap=True)
    _print_files(console, found)


def _print_files(console: Console, found: FoundArtifact) -> None:
    if len(found.files) > 1:
        console.print()
        shown = found.files[:100]
        print_columns(
            console,
            [
                Column("file", [member.path for member in shown]),
                Column("size", [in_bytes(member.size) for member in shown]),
                Column("sha256", [member.digest[:12] for member in shown]),
            ],
        )
        if len(found.files) > len(shown):
            console.print(f"and {len(found.files) - len(shown):,} more files, which --json has")


def _run(run: RunRef) -> str:
    return visible(run.folder or run.name or run.id)
