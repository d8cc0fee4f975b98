"""A location: which backend, and where.

`BACKEND:PLACE`, where the place is what that backend's source takes: `mlflow:sqlite:///mlflow.db`.
Anything else is a folder of local runs; one whose name begins like a backend's is written `./mlflow:x`.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

import msgspec

from unitrack.blobs.address import is_place
from unitrack.config.sinks import DEFAULT_BACKEND
from unitrack.errors import ConfigError, MissingLocationError, SourceError
from unitrack.hookspecs import Source
from unitrack.names import nearest
from unitrack.plugins.options import load_object
from unitrack.plugins.registry import OFFICIAL, installed
from unitrack.system.installation import install_command

_PREFIX = re.compile(r"([A-Za-z][\w-]*):(.*)", re.DOTALL)


class Location(msgspec.Struct, frozen=True):
    """A place where a backend keeps runs."""

    backend: str
    place: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.place}"

    @property
    def is_missing_folder(self) -> bool:
        """Whether it is a folder of local runs that is not there."""
        is_folder = self.backend == DEFAULT_BACKEND and not is_place(self.place)
        return is_folder and not os.path.exists(os.path.expanduser(self.place))

    @classmethod
    def parse(cls, text: str | Path) -> Location:
        """Return the location that `text` names. Raises `ConfigError`, with an example, for what can't be one."""
        if not isinstance(text, str | os.PathLike):
            raise ConfigError(f"a location is text such as 'local:experiments', or a path, got {type(text).__name__}")
        match = _PREFIX.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            return cls(DEFAULT_BACKEND, str(text))
        backend, place = match[1], match[2]
        known = known_backends()
        if backend not in known and (is_place(str(text)) or Path(str(text)).exists()):
            return cls(DEFAULT_BACKEND, str(text))
        if backend in known and not place:
            raise ConfigError(f"{text!r} names no place: write `{backend}:` and a place after it, such as a folder")
        return cls(backend, place)

    @classmethod
    def expand(cls, text: str | Path) -> tuple[Location, ...]:
        """Return the locations that `text` names: several if its place is a glob, such as `local:exp*/`.

        Raises as `parse`, and `MissingLocationError` if a glob matches nothing.
        """
        parsed = cls.parse(text)
        place = os.path.expanduser(parsed.place)
        if "://" in place or not glob.has_magic(place) or os.path.exists(place):
            return (parsed,)
        found = tuple(cls(parsed.backend, path) for path in sorted(glob.glob(place, recursive=True)))
        if not found:
            raise MissingLocationError(f"nothing matches {str(parsed)!r} in {os.getcwd()}")
        return found

    def open(self) -> Source:
        """Return the source that reads the location.

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
            source = load_object(backend.source)(self.place)
        except FileNotFoundError as error:
            raise MissingLocationError(f"can't read {str(self)!r}: {error}") from error
        except Exception as error:
            raise SourceError(f"can't read {str(self)!r}: {error or type(error).__name__}") from error
        if not isinstance(source, Source):
            raise SourceError(
                f"can't read {str(self)!r}: {backend.source} does not derive from `unitrack.hookspecs.Source`"
            )
        return source


def known_backends() -> set[str]:
    """Return the names of backends that are installed or disabled, or that unitrack has a plugin for."""
    plugins = installed()
    return {*plugins.backends, *OFFICIAL, *(plugin.name for plugin in plugins.plugins)}


def _why_not(name: str, error: ConfigError) -> str:
    """Return why a backend can't be read, and what to do; `error` is what the registry raised."""
    backends = installed().backends
    if name in backends or any(plugin.name == name for plugin in installed().plugins):
        return str(error)  # a package of it is missing, or its plugin failed
    if name in OFFICIAL:
        return f"the backend {name!r} is not installed: run `{install_command(OFFICIAL[name])}`"
    close = nearest(name, known_backends())
    hint = f": did you mean {close!r}? Installed" if close else "; installed"
    readable = ", ".join(one for one, backend in backends.items() if backend.source)
    missing = [f"{one} (run `{install_command(extra)}`)" for one, extra in OFFICIAL.items() if one not in backends]
    more = f"; not installed: {', '.join(missing)}" if missing else ""
    return f"unknown backend {name!r}{hint}: {readable}{more}"
