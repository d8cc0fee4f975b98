"""Which source reads a location of the local backend: a folder of this machine, or a team's store."""

from __future__ import annotations

from pathlib import Path

from unitrack.blobs.address import Address, is_url
from unitrack.hookspecs import Source
from unitrack.local.source import LocalSource
from unitrack.local.team.layout import ENTRIES


def open_source(location: str) -> Source:
    """Return the source of a location. Raises as `TeamSource` does, for a URL."""
    if is_url(location):
        address = Address.parse(location)
        location = address.url
        if not address.is_local:
            return _team_source(location)
    if (Path(location).expanduser() / ENTRIES).is_dir():
        return _team_source(str(Path(location).expanduser()))
    return LocalSource(location)


def _team_source(location: str) -> Source:
    from unitrack.local.team.source import TeamSource  # noqa: PLC0415  # 5 ms, for team stores only

    return TeamSource(location)
