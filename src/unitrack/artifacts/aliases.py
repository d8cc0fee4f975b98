"""Moving aliases of an artifact."""

from __future__ import annotations

import time

from unitrack.artifacts.events import Moved, Version
from unitrack.artifacts.finding import find_version
from unitrack.artifacts.names import LATEST, Wanted, check_alias
from unitrack.artifacts.registry import NamedArtifact
from unitrack.artifacts.settling import settle_pending
from unitrack.errors import InvalidValueError, NotFoundError


def move_alias(artifact: NamedArtifact, wanted: Wanted, alias: str) -> Version:
    """Move an alias to a version, from whichever had it, and return the version.

    Raises `NotFoundError` for a version that is not there or was removed, `InvalidValueError` for an alias that can't
    be one or that moves by itself, and `OSError`.
    """
    if check_alias(alias) == LATEST:
        raise InvalidValueError(f"{LATEST!r} moves by itself to the version that was logged last: choose another alias")
    settle_pending(artifact)
    with artifact.registry.locked():
        version = find_version(artifact, wanted)
        if version.removed:
            raise NotFoundError(f"{artifact.name}:{version.label} was removed, so it can't have an alias")
        if alias not in version.aliases:
            artifact.append(Moved(time=_now(), alias=alias, number=version.number))
        return artifact.read().versions[version.number]


def remove_alias(artifact: NamedArtifact, alias: str) -> Version:
    """Take an alias away from the version that has it, and return the version.

    Raises `NotFoundError` if none has it, and `OSError`.
    """
    with artifact.registry.locked():
        state = artifact.read()
        aliases = state.aliases
        if alias == LATEST or alias not in aliases:
            others = ", ".join(one for one in aliases if one != LATEST) or "none"
            raise NotFoundError(f"{artifact.name} has no alias {alias!r} that can be removed: it has {others}")
        artifact.append(Moved(time=_now(), alias=alias, number=None))
        return state.versions[aliases[alias]]


def _now() -> int:
    return time.time_ns() // 1_000_000
