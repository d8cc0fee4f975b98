"""What a location means: which backend, and where.

`BACKEND:PLACE`, where the place is what that backend's source takes: `mlflow:sqlite:///mlflow.db`.
Anything else is a folder of local runs; one whose name begins like a backend's is written `./mlflow:x`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from unitrack import spelling
from unitrack.errors import ConfigError
from unitrack.hookspecs import Source
from unitrack.installation import install_command
from unitrack.plugins import OFFICIAL, installed, load_object
from unitrack.runs.errors import MissingLocationError, SourceError

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
        if not isinstance(text, str | os.PathLike):
            raise ConfigError(f"a location is text such as 'local:experiments', or a path, got {type(text).__name__}")
        match = _PREFIX.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            return cls(DEFAULT_BACKEND, str(text))
        backend, place = match[1], match[2]
        known = known_backends()
        if backend not in known and Path(str(text)).exists():
            return cls(DEFAULT_BACKEND, str(text))
        if backend in known and not place:
            raise ConfigError(f"{text!r} names no place: write `{backend}:` and a place after it, such as a folder")
        return cls(backend, place)

    def open(self) -> Source:
        """The source that reads it.

        Raises `ConfigError` if the backend is unknown, not installed or only writes, `MissingLocationError` if nothing
        is there, and `SourceError` if its reader fails.
        """
        try:
            backend = installed().backend(self.backend)
        except ConfigError as error:
            raise ConfigError(f"can't read {str(self)!r}: {_why_not(self.backend, error)}") from None
        if backend.source is None:
            raise ConfigError(f"can't read {str(self)!r}: the plugin of {self.backend!r} only writes")
        try:
            source: Source = load_object(backend.source)(self.place)
        except FileNotFoundError as error:
            raise MissingLocationError(f"can't read {str(self)!r}: {error}") from error
        except Exception as error:
            raise SourceError(f"can't read {str(self)!r}: {error or type(error).__name__}") from error
        return source


def known_backends() -> set[str]:
    """The names of all backends that are installed, disabled, or could be installed with a plugin of unitrack's own."""
    plugins = installed()
    return {*plugins.backends, *OFFICIAL, *(plugin.name for plugin in plugins.plugins)}


def _why_not(name: str, error: ConfigError) -> str:
    """Return why a backend can't be read, and what to do; `error` is what the plugins say of it."""
    backends = installed().backends
    if name in backends or any(plugin.name == name for plugin in installed().plugins):
        return str(error)  # a package of it is missing, or its plugin failed
    if name in OFFICIAL:
        return f"the backend {name!r} is not installed: run `{install_command(OFFICIAL[name])}`"
    close = spelling.nearest(name, known_backends())
    hint = f": did you mean {close!r}? Installed" if close else "; installed"
    readable = ", ".join(one for one, backend in backends.items() if backend.source)
    missing = [f"{one} (run `{install_command(extra)}`)" for one, extra in OFFICIAL.items() if one not in backends]
    more = f"; not installed: {', '.join(missing)}" if missing else ""
    return f"unknown backend {name!r}{hint}: {readable}{more}"
