"""Removing versions that nobody needs. Their numbers stay taken, and what the run folders hold stays there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from unitrack.artifacts.events import Removed, RunRef, Version
from unitrack.artifacts.registry import NamedArtifact, Registry
from unitrack.artifacts.store import members_of
from unitrack.errors import ConfigError
from unitrack.system.files import remove_path


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions go: those for which all that is set here is true. A version with an alias always stays."""

    keep: int | None = None
    """It is not among this many of the newest versions of its artifact."""
    older_than: float | None = None
    """Seconds since it was logged."""
    unused: bool = False
    """No run has used it."""

    def check(self) -> None:
        """Raise `ConfigError` if there is no rule."""
        if self == Rules():
            raise ConfigError("nothing says what may go: give --keep, --older-than or --unused")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A version that fits the rules."""

    project: str
    name: str
    version: str
    size: int
    """Bytes; other versions may share them."""
    time: int
    """When it was logged, in milliseconds since the epoch."""
    made_by: RunRef
    used_by: tuple[RunRef, ...] = ()


def choose(artifacts: Iterable[NamedArtifact], rules: Rules) -> list[Candidate]:
    """Return the versions that fit the rules, the oldest of each artifact first. Raises `OSError`."""
    return [_candidate(artifact, version) for artifact in artifacts for version in _chosen(artifact, rules)]


def remove_versions(registry: Registry, candidates: Iterable[Candidate]) -> tuple[list[Candidate], int]:
    """Remove versions, but those that have got an alias meanwhile; return them, and the bytes that became free.

    Raises `OSError`.
    """
    removed = []
    with registry.locked():
        for candidate in candidates:
            artifact = registry.artifact(candidate.project, candidate.name)
            number = int(candidate.version[1:])
            version = artifact.read().versions[number]
            if version.aliases or version.removed:
                continue
            artifact.append(Removed(time=time.time_ns() // 1_000_000, number=number))
            remove_path(artifact.path_of(number))
            removed.append(candidate)
        freed = registry.content.remove_all_but(_needed(registry))
    return removed, freed


def remove_version(artifact: NamedArtifact, number: int, copies: Iterable[Path]) -> None:
    """Remove one version, and copies of it that take the same space. Raises `OSError`.

    Only what it alone holds is looked at, not all artifacts: it is called between two steps of training.
    """
    with artifact.registry.locked():
        version = artifact.read().versions[number]
        if version.removed:
            return
        artifact.append(Removed(time=time.time_ns() // 1_000_000, number=number))
        tree, content = artifact.path_of(number), artifact.read_files(number)
        shared = [
            artifact.registry.content.path_of(member.digest)
            for member in members_of(version.file, content)
            if _is_same_file(tree / member.path, artifact.registry.content.path_of(member.digest))
        ]
        for path in (*copies, tree):
            remove_path(path)
        for path in shared:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_nlink == 1:  # neither another version nor a run folder links to it
                    path.unlink()


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _chosen(artifact: NamedArtifact, rules: Rules) -> list[Version]:
    kept = [version for version in artifact.read().versions.values() if not version.removed]
    if rules.keep is not None:
        kept = kept[: max(0, len(kept) - rules.keep)]
    now = time.time()
    return [
        version
        for version in kept
        if not version.aliases
        and (rules.older_than is None or now - version.time / 1000 >= rules.older_than)
        and not (rules.unused and version.used_by)
    ]


def _candidate(artifact: NamedArtifact, version: Version) -> Candidate:
    return Candidate(
        project=artifact.project,
        name=artifact.name,
        version=version.label,
        size=version.size,
        time=version.time,
        made_by=version.made_by,
        used_by=tuple(version.used_by),
    )


def _needed(registry: Registry) -> set[str]:
    """Return the digests of all files of the versions that are kept."""
    needed: set[str] = set()
    for artifact in registry.artifacts():
        for version in artifact.read().versions.values():
            if not version.removed:
                with contextlib.suppress(FileNotFoundError):
                    content = artifact.read_files(version.number)
                    needed.update(member.digest for member in members_of(version.file, content))
    return needed
