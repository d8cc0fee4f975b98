"""How much the artifacts of a root take, and whether more may be stored."""

from __future__ import annotations

import contextlib

import msgspec

from unitrack.artifacts.registry import NamedArtifact, Registry
from unitrack.artifacts.settling import Pending, key_of, notes_of
from unitrack.errors import InvalidValueError
from unitrack.system.files import read_regular
from unitrack.values.codec import decode

_NAMED = 3
"""Artifacts that an error names, those that take most."""


class Share(msgspec.Struct, frozen=True):
    """What one artifact takes."""

    project: str
    name: str
    versions: int
    size: int
    """Bytes of all versions that are kept, what they share counted for each."""


def used_bytes(registry: Registry) -> int:
    """Return the bytes of all contents, each counted once, and of what is logged and not counted yet."""
    stored = sum(size for _, size in registry.content.digests())
    return stored + sum(_pending_bytes(artifact) for artifact in registry.artifacts())


def shares_of(registry: Registry) -> list[Share]:
    """Return what each artifact takes, the largest first."""
    shares = []
    for artifact in registry.artifacts():
        kept = [one for one in artifact.read().versions.values() if not one.removed and one.reference is None]
        shares.append(Share(artifact.project, artifact.name, len(kept), sum(one.size for one in kept)))
    return sorted(shares, key=lambda share: -share.size)


def require_room(registry: Registry, size: int, quota: int) -> None:
    """Raise `InvalidValueError` if `size` bytes more would be above the quota."""
    used = used_bytes(registry)
    if used + size <= quota:
        return
    largest = [
        f"{share.name} {_mb(share.size)} in {share.versions} version{'s' if share.versions != 1 else ''}"
        for share in shares_of(registry)[:_NAMED]
        if share.size
    ]
    by_what = f" ({', '.join(largest)})" if largest else ""
    raise InvalidValueError(
        f"the artifacts in {registry.folder} use {_mb(used)}{by_what}; {_mb(size)} more would be above "
        f"artifacts.quota_bytes, {_mb(quota)}: nothing was written; make room with `unitrack artifacts clean`, or "
        "raise the quota"
    )


def _pending_bytes(artifact: NamedArtifact) -> int:
    total, counted = 0, artifact.read().keys
    for path in notes_of(artifact):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            note = decode(read_regular(path), Pending)
            total += note.record.size if key_of(note.run, note.record) not in counted else 0
    return total


def _mb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
