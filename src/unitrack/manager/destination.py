"""The destination of a copy: a backend, and where it keeps runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config import SinkSettings, resolve
from unitrack.config.sinks import name_sinks, read_sinks
from unitrack.errors import ConfigError
from unitrack.hookspecs import Backend
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.reading.location import Location
from unitrack.runfolder.manifest import LaneSpec
from unitrack.values.redaction import redact

_COPIES = ".unitrack-copies"
"""The folder under the root that keeps an account of copies to other backends."""


class Destination(msgspec.Struct, frozen=True):
    """Where runs are copied to."""

    backend: Backend
    lane: LaneSpec
    location: Location | None
    """Where the backend's source reads what is written; None if that is not known."""
    root: Path
    """The folder of the run folders that are delivered. Those of a backend that keeps its runs in them are the copy."""

    @property
    def has_artifacts(self) -> bool:
        """Whether the copies are run folders under `root`, beside which it keeps artifacts with versions."""
        return self.backend.keeps_run_folder and self.root.parent.name != _COPIES

    def __str__(self) -> str:
        return str(self.location or self.lane.name)

    @classmethod
    def of(cls, given: str | os.PathLike[str] | Mapping[str, Any] | SinkSettings) -> Destination:
        """Return the destination that a location, or a sink as in `start_run(sinks=[...])`, means.

        Raises `ConfigError` if the backend is unknown, only reads, or can't be told where to write.
        """
        if isinstance(given, Mapping):
            [given] = name_sinks(read_sinks([given]))
        if isinstance(given, SinkSettings):
            return cls._of_sink(given)
        location = Location.parse(given if isinstance(given, str) else Path(given))
        backend = installed().sink_backend(location.backend)
        try:
            options = backend.options.at(location.place)
        except NotImplementedError:
            if backend.keeps_run_folder:
                lane = make_lane(backend.name, backend, {})
                return cls(backend, lane, location, Path(location.place).expanduser().absolute())
            raise ConfigError(
                f"can't copy to {str(location)!r}: {backend.name} does not say how a location becomes its options; "
                f"give a configured sink of it instead"
            ) from None
        except ValueError as error:
            raise ConfigError(f"can't copy to {str(location)!r}: {error}") from error
        return cls(backend, *_delivered_by_account(backend, msgspec.to_builtins(options), location))

    @classmethod
    def _of_sink(cls, sink: SinkSettings) -> Destination:
        backend = installed().sink_backend(sink.backend)
        if not backend.keeps_run_folder:
            return cls(backend, *_delivered_by_account(backend, sink.options, None))
        root = Path(resolve().settings.tracking.root).expanduser().absolute()
        return cls(backend, make_lane(backend.name, backend, sink.options), Location(backend.name, str(root)), root)


def _delivered_by_account(
    backend: Backend, options: Mapping[str, Any], location: Location | None
) -> tuple[LaneSpec, Location | None, Path]:
    """Return the lane, and the folder that accounts for what is delivered to this place."""
    lane = make_lane(backend.name, backend, options)
    where = msgspec.json.encode(redact(lane.options), order="sorted")  # the same with another key
    place = hashlib.sha256(where).hexdigest()[:16]
    root = Path(resolve().settings.tracking.root).expanduser().absolute() / _COPIES / f"{backend.name}-{place}"
    return lane, location, root
