"""What a location means: which backend, and where.

`BACKEND:PLACE`, where the place is what that backend's source takes: `mlflow:sqlite:///mlflow.db`.
Anything else is a folder of local runs; one whose name begins like a backend's is written `./mlflow:x`.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from unitrack.errors import ConfigError
from unitrack.hookspecs import Source
from unitrack.plugins import OFFICIAL, installed, load_object
from unitrack.runs.errors import SourceError

DEFAULT_BACKEND = "local"
"""What a plain path means."""

_PREFIX = re.compile(r"([A-Za-z][\w-]*):(.*)", re.DOTALL)


class Location(msgspec.Struct, frozen=True):
    """A place that runs are kept in."""

    backend: str
    place: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.place}"

    @classmethod
    def parse(cls, text: str | Path) -> Location:
        """The location that `text` names. Raises `ConfigError` for one that can't be one, saying how they look."""
        match = _PREFIX.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            return cls(DEFAULT_BACKEND, str(text))
        backend, place = match[1], match[2]
        known = {*installed().backends, *OFFICIAL, *(plugin.name for plugin in installed().plugins)}
        if backend not in known and Path(str(text)).exists():
            return cls(DEFAULT_BACKEND, str(text))
        if backend in known and not place:
            raise ConfigError(f"{text!r} names no place: write `{backend}:` and a place after it, such as a folder")
        return cls(backend, place)

    def open(self) -> Source:
        """The source that reads it.

        Raises `ConfigError` if the backend is unknown, not installed or only writes, `SourceError` if its reader fails.
        """
        try:
            backend = installed().backend(self.backend)
        except ConfigError as error:
            readable = ", ".join(f"`{name}:`" for name, one in installed().backends.items() if one.source)
            raise ConfigError(f"can't read {str(self)!r}: {error}; here locations begin with {readable}") from None
        if backend.source is None:
            raise ConfigError(f"can't read {str(self)!r}: the plugin of {self.backend!r} only writes")
        try:
            source: Source = load_object(backend.source)(self.place)
        except Exception as error:
            raise SourceError(f"can't read {str(self)!r}: {error or type(error).__name__}") from error
        return source
