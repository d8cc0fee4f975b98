"""What can go wrong in reading."""

from __future__ import annotations

from unitrack.errors import UnitrackError


class SourceError(UnitrackError, OSError):
    """A location can't be read: nothing is there, the server is down, its backend's reader failed."""


class MissingLocationError(SourceError):
    """Nothing lies at a location: no such folder, no such store."""


class NotFoundError(UnitrackError, LookupError):
    """There is no such run in a location, or no such metric in a run."""
