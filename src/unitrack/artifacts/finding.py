"""Finding a version of an artifact: `model:best`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from unitrack.artifacts.events import RunRef, State, Used, Version
from unitrack.artifacts.names import Wanted
from unitrack.artifacts.references import local_path
from unitrack.artifacts.registry import NamedArtifact, Registry
from unitrack.artifacts.settling import settle_pending
from unitrack.artifacts.store import members_of
from unitrack.blobs.content import Member
from unitrack.errors import NotFoundError, SourceError
from unitrack.names import nearest
from unitrack.records import ArtifactType, Reference

_SHOWN = 8
"""Versions and aliases that an error names."""


class FoundArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an artifact, on this machine."""

    name: str
    project: str
    version: str
    """Such as "v3"."""
    digest: str
    """The SHA-256 of its content in hexadecimal."""
    aliases: tuple[str, ...]
    path: Path | None
    """The file or folder that was logged; of a reference the data itself, None if it is not on this machine. Read it
    only: it is kept once for all that use it. `unitrack artifacts get` makes a copy."""
    files: tuple[Member, ...]
    """Its files with `path` (relative to the folder of `path`), `size` and `digest`."""
    size: int
    """Bytes."""
    type: ArtifactType
    time: int
    """When it was logged, in milliseconds since the epoch."""
    step: int | None
    reference: Reference | None
    """Set if the data stays where it is: `uri`, `checksum`, `etag`, `size`."""
    made_by: RunRef
    """The run that logged it: `id` and `name`."""

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"

    def __fspath__(self) -> str:
        if self.path is None:
            assert self.reference is not None
            raise SourceError(f"{self} is a reference to {self.reference.uri}, which is not on this machine")
        return str(self.path)


def find_artifact(registry: Registry, project: str, wanted: Wanted) -> FoundArtifact:
    """Return a version, after what was logged before is counted.

    Raises `NotFoundError`, which names similar ones, and `SourceError` if its content can't be read.
    """
    artifact = registry.artifact(project, wanted.name)
    try:
        settle_pending(artifact)
        version = find_version(artifact, wanted)
        return describe(artifact, version)
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"can't read {wanted} in {registry.folder}: {error}") from error


def find_version(artifact: NamedArtifact, wanted: Wanted) -> Version:
    """Return what the log says of a version. Raises `NotFoundError`, which names similar ones, and `OSError`."""
    state = artifact.read()
    if not state.versions:
        raise NotFoundError(_no_artifact(artifact))
    number = wanted.number if wanted.number is not None else state.aliases.get(wanted.alias)
    if number is None or number not in state.versions:
        raise NotFoundError(_no_version(artifact, wanted, state))
    return state.versions[number]


def describe(artifact: NamedArtifact, version: Version) -> FoundArtifact:
    """Return a version with its files. Raises `NotFoundError` if it was removed, `OSError` if it can't be read."""
    if version.removed:
        raise NotFoundError(f"{artifact.name}:{version.label} was removed by `unitrack artifacts clean`")
    content = artifact.read_files(version.number)
    if version.reference is not None:
        path = local_path(version.reference.uri)
    else:
        path = artifact.path_of(version.number) / version.file
        if not path.exists():
            maker = version.made_by.folder or version.made_by.id
            raise SourceError(
                f"the content of {artifact.name}:{version.label} is gone from {path.parent}: the run {maker}, which "
                "logged it, may still have a copy among its artifacts"
            )
    return FoundArtifact(
        name=artifact.name,
        project=artifact.project,
        version=version.label,
        digest=version.digest,
        aliases=tuple(version.aliases),
        path=path,
        files=() if version.reference is not None else tuple(members_of(version.file, content)),
        size=version.size,
        type=version.type,
        time=version.time,
        step=version.step,
        reference=version.reference,
        made_by=version.made_by,
    )


def note_use(registry: Registry, found: FoundArtifact, run: RunRef, time: int) -> None:
    """Note that a run has used a version. Raises `OSError`."""
    artifact = registry.artifact(found.project, found.name)
    number = int(found.version[1:])
    known = artifact.read().versions.get(number)
    if known is not None and run.id in (one.id for one in known.used_by):
        return
    with registry.locked():
        artifact.append(Used(time=time, number=number, digest=found.digest, run=run))


def _no_artifact(artifact: NamedArtifact) -> str:
    registry = artifact.registry
    here = [one.name for one in registry.artifacts(artifact.project)]
    where = f"project {artifact.project!r} in {registry.root}"
    if close := nearest(artifact.name, here):
        return f"{where} has no artifact {artifact.name!r}: did you mean {close!r}?"
    others = {one.name: one.project for one in registry.artifacts()}
    if (meant := nearest(artifact.name, others)) is not None:
        which = "one" if meant == artifact.name else f"an artifact {meant!r}"
        return f"{where} has no artifact {artifact.name!r}, but project {others[meant]!r} has {which}: name the project"
    known = f"it has {', '.join(here[:_SHOWN])}" if here else "it has none; log one with log_artifact(path, name=...)"
    return f"{where} has no artifact {artifact.name!r}: {known}"


def _no_version(artifact: NamedArtifact, wanted: Wanted, state: State) -> str:
    kept = [version.label for version in state.versions.values() if not version.removed]
    names = [*state.aliases, *kept]
    asked = f"v{wanted.number}" if wanted.number is not None else wanted.alias
    close = nearest(asked, names) if wanted.number is None else None
    hint = f"did you mean {artifact.name}:{close}? It" if close else "it"
    aliases = ", ".join(f"{alias} (v{number})" for alias, number in list(state.aliases.items())[:_SHOWN])
    versions = kept[0] if len(kept) == 1 else f"{kept[0]} ... {kept[-1]}" if kept else "none"
    return f"there is no {wanted}: {hint} has the versions {versions} and the aliases {aliases or 'none'}"
