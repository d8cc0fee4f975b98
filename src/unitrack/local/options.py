"""The options of the local files: where artifacts go, and a store that a team shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from unitrack.blobs.address import Address, is_url, refuse_secret_options
from unitrack.errors import ConfigError
from unitrack.hookspecs import SinkOptions

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_PLACES = ("artifact_location", "team_store")
"""The options that name a place for files."""


class LocalOptions(SinkOptions, frozen=True, kw_only=True):
    """Where the files lie beside the run folder."""

    artifact_location: _Text | None = None
    """Where the files of artifacts go, each content once: `s3://bucket/prefix`, `gs://`, `az://`, `sftp://`, or a
    folder. Not set: into the run folder."""
    team_store: _Text | None = None
    """A place of the same kind where the whole run is kept as well, with its artifacts, for a team to read."""
    storage_options: dict[str, Any] = msgspec.field(default_factory=dict)
    """What fsspec's file system takes beside credentials, such as `endpoint_url` and `profile` of s3fs."""

    def __post_init__(self) -> None:
        """Check the places. Raises `ValueError` that begins with the option."""
        for option, text in self.places.items():
            try:
                address = Address.parse(text)
            except ConfigError as error:
                raise ValueError(f"{option}: {error}") from None
            refuse_secret_options(self.storage_options, address)

    @classmethod
    def at(cls, place: str) -> Self:
        """Return the options for a team's store. A folder is no such place: run folders are made in it."""
        if not is_url(place):
            raise NotImplementedError
        return cls(team_store=place)

    def is_shared(self) -> bool:
        """Return whether files, or the run, go to a bucket or a server."""
        return any(not Address.parse(text).is_local for text in self.places.values())

    @property
    def places(self) -> dict[str, str]:
        """The places that are set, by the names of their options."""
        return {option: text for option in _PLACES if (text := getattr(self, option)) is not None}

    @property
    def location_of_files(self) -> str | None:
        """Where the files of artifacts go; None for the run folder."""
        if self.artifact_location is None and self.team_store is not None:
            return f"{self.team_store.rstrip('/')}/blobs"
        return self.artifact_location

    def anchored(self, directory: Path) -> Self:
        """Return these options with absolute folders. Raises `MissingPackageError` if a package is missing."""
        found = {option: Address.parse(text) for option, text in self.places.items()}
        for address in found.values():
            address.require_package()
        return msgspec.structs.replace(self, **{option: address.url for option, address in found.items()})
