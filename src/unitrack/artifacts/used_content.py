"""The content of versions that a run has used, for sinks that keep it themselves."""

from __future__ import annotations

from pathlib import Path

from unitrack.artifacts.registry import Registry
from unitrack.hookspecs import UsedArtifact
from unitrack.records import ArtifactVersion, used_version


def find_used(root: Path, project: str, tag: str, text: str) -> UsedArtifact | None:
    """Return the version under a root that a tag of a run of `project` says was used.

    None if the tag says no such thing, or if the version is not there, or has another content by now.
    """
    if (told := used_version(tag, text)) is None:
        return None
    wanted, used = told
    artifact = Registry(root).artifact(used.project or project, wanted.name)
    try:
        version = artifact.read().versions.get(wanted.number or 0)
    except OSError:
        return None
    if version is None or version.removed or version.digest != wanted.digest:
        return None
    path = None if version.reference is not None else artifact.path_of(version.number) / version.file
    if path is not None and not path.exists():
        return None
    return UsedArtifact(
        version=ArtifactVersion(
            wanted.name, version.number, version.digest, reference=version.reference, metric=version.metric
        ),
        type=version.type,
        time=version.time,
        made_by=version.made_by.id,
        path=path,
        step=version.step,
    )
