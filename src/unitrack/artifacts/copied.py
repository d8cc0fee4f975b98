"""Versions that are copied from another root, or from a backend: how they become versions here.

A version keeps its number if that is free, or if it has the same content here. Otherwise it gets the next one.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from unitrack.artifacts.events import Again, RunRef, State, Used, Version
from unitrack.artifacts.names import is_alias, is_name
from unitrack.artifacts.references import digest_of
from unitrack.artifacts.registry import NamedArtifact, Registry
from unitrack.blobs.content import Content, content_of
from unitrack.records import Artifact, ArtifactVersion, used_version

_NUMBERS = range(10**9)
"""Those that can be asked for."""


def take_copy(
    registry: Registry, project: str, run: RunRef, record: Artifact, content: Path, aliases: tuple[str, ...]
) -> Version | None:
    """Have the version that a copied record speaks of among those of a root, once; return what it is here.

    `content`: its file or folder, `aliases`: those that it has where it comes from. None if it is no version. Raises
    `OSError` if the content can't be read or kept.
    """
    version = record.version
    if version is None or version.number is None or not is_name(version.name):
        return None
    artifact = registry.artifact(project, version.name)
    key = f"{run.id}/{record.name}@{version.digest}"
    state = artifact.read()
    if (known := state.keys.get(key)) is not None:
        return state.versions[known]
    found = content_of(content)
    digest = digest_of(version.reference) if version.reference is not None else found.digest
    version = msgspec.structs.replace(version, aliases=tuple(filter(is_alias, aliases)))
    with registry.locked():
        _add(artifact, artifact.read(), run, record, version, key, digest, content, found)
        state = artifact.read()
        return state.versions[state.keys[key]]


def take_use(registry: Registry, project: str, run: RunRef, time: int, tag: str, text: str) -> None:
    """Note that a copied run has used a version, as its tag says, if the same content is a version here.

    Raises `OSError`.
    """
    if (told := used_version(tag, text)) is None:
        return
    wanted, used = told
    artifact = registry.artifact(used.project or project, wanted.name)
    if (version := _same(artifact.read(), wanted)) is None or run.id in (one.id for one in version.used_by):
        return
    with registry.locked():
        artifact.append(Used(time=time, number=version.number, digest=version.digest, run=run))


def _same(state: State, wanted: ArtifactVersion) -> Version | None:
    """Return the version with the same content, the one with the same number first."""
    numbered = state.versions.get(wanted.number or 0)
    if numbered is not None and numbered.digest == wanted.digest:
        return numbered
    return next((one for one in reversed(state.versions.values()) if one.digest == wanted.digest), None)


def _add(
    artifact: NamedArtifact,
    state: State,
    run: RunRef,
    record: Artifact,
    version: ArtifactVersion,
    key: str,
    digest: str,
    content: Path,
    found: Content,
) -> None:
    same = _same(state, ArtifactVersion(version.name, version.number, digest))
    if same is not None and not same.removed and (same.number == version.number or not version.is_checkpoint):
        artifact.append(
            Again(time=record.time, number=same.number, key=key, run=run, aliases=version.aliases, is_copy=True)
        )
        return
    before = state.overwritten_by(run.id) if version.overwrites else None
    number = before.number if before is not None else version.number or 0
    if before is None and (number in state.versions or number not in _NUMBERS):
        number = state.next_number
    artifact.add_version(
        number,
        digest,
        key=key,
        run=run,
        record=record,
        version=version,
        source=content,
        content=found,
        is_copy=True,
    )
