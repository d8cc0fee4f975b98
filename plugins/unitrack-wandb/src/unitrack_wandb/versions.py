"""Versions of unitrack's named artifacts as W&B artifacts.

W&B numbers versions itself, by a digest of the files: the same content is one version, however often it is logged.
The metadata of an artifact says which version of unitrack it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from unitrack.records import ArtifactType, ArtifactVersion, Reference
from unitrack_wandb.sdk import ArtifactManifestEntry, wandb

MARK = "unitrack_version"
"""The key of an artifact's metadata that tells ours from those of other programs: "v3"."""
DIGEST, TIME, ALIASES = "unitrack_digest", "unitrack_time", "unitrack_aliases"
"""Further keys: the SHA-256 of the content, when it was logged, and when aliases were moved to it later."""


def type_of(kind: ArtifactType | str) -> str:
    """Return the type of a W&B artifact, which all versions of a name share."""
    return kind if kind in ("model", "dataset") else "artifact"


def draft(
    version: ArtifactVersion,
    *,
    type: str,
    content: Path | None,
    lies_at: Path | None = None,
    time: int,
    run_id: str,
    step: int | None = None,
) -> Any:
    """Return a W&B artifact that is not logged yet: of a file or a folder, or of a reference.

    `lies_at`: where the content will lie when it is uploaded, if it is elsewhere by then. Raises `OSError`.
    """
    told = {MARK: version.label, DIGEST: version.digest, TIME: time, "run": run_id}
    told |= {key: value for key, value in (("step", step), ("metric", version.metric)) if value is not None}
    artifact = wandb.Artifact(version.name, type=type, metadata=told)
    if version.reference is not None:
        artifact.manifest.add_entry(_reference_entry(version.reference))
    elif content is not None:
        for file, inside in _files(content):
            # The file is not written to again, so the SDK need not make copies of it in its own folders.
            entry = artifact.add_file(str(file), name=inside, policy="immutable", skip_cache=True)
            if lies_at is not None:
                entry.local_path = str(lies_at / inside if content.is_dir() else lies_at)
    artifact.finalize()
    return artifact


def _files(content: Path) -> Iterator[tuple[Path, str]]:
    if not content.is_dir():
        yield content, content.name
        return
    for file in sorted(content.rglob("*")):
        if file.is_file():
            yield file, file.relative_to(content).as_posix()


def _reference_entry(reference: Reference) -> Any:
    """Return the entry of data that stays where it is, by what a change of it is noticed. Its store is not asked.

    The SDK compares the digest with the store's own, an ETag, when it downloads the data.
    """
    parts = urlsplit(reference.uri)
    name = PurePosixPath(parts.path).name or parts.netloc
    is_local = parts.scheme == "file"
    digest = (reference.checksum or reference.etag) if is_local else (reference.etag or reference.checksum)
    return ArtifactManifestEntry(
        path=name,
        ref=reference.uri,
        digest=digest or reference.uri,
        size=reference.size,
        extra={"etag": reference.etag} if reference.etag and not is_local else {},
    )
