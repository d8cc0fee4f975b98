"""What `run.json` holds: what the run is, who started it, and all that delivering it to each of its sinks takes."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec

from unitrack.hookspecs import Backend, SinkOptions
from unitrack.learned import learned
from unitrack.owner import Owner
from unitrack.records import RunStart

THINNING = "unitrack.delivery.thinning:Thinning"
"""The middleware that a lane applies by itself, as it reads: what it has counted is committed with the offset."""


class MiddlewareEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Middleware that a sink's options ask for, as `run.json` keeps it."""

    name: str
    """The key that asked for it."""
    value: Any
    """What it is called with, as JSON values."""


class SinkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A sink of a run as `run.json` keeps it: what it is called, never which class serves it.

    So the file outlives a plugin whose modules move, and a stranger's file names no class to import.
    """

    name: str
    backend: str
    options: dict[str, Any] = {}
    middleware: tuple[MiddlewareEntry, ...] = ()


class Wrapping(MiddlewareEntry, frozen=True, kw_only=True):
    """Middleware with the class that does it."""

    wrapper: str
    """"module:Class", as `hookspecs.Middleware.wrapper`."""


class LaneSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a courier needs to know of one sink of one run."""

    name: str
    backend: str
    sink: str
    """The sink's class, "module:Class"."""
    options_type: str
    """The class of its options, "module:Class"."""
    options: dict[str, Any] = {}
    middleware: tuple[Wrapping, ...] = ()
    """The first one is the outermost: it sees a batch first."""
    kinds_in_order: bool = True
    lanes_at_once: int | None = None
    """Both as `hookspecs.Backend` says."""

    @property
    def keep_every(self) -> int:
        """Of each metric every n-th point is for this sink."""
        return math.prod(one.value for one in self.middleware if one.wrapper == THINNING)

    @property
    def entry(self) -> SinkEntry:
        """What `run.json` keeps of it."""
        kept = tuple(MiddlewareEntry(name=one.name, value=one.value) for one in self.middleware)
        return SinkEntry(name=self.name, backend=self.backend, options=self.options, middleware=kept)

    @classmethod
    def of(cls, name: str, backend: Backend, options: SinkOptions, middleware: tuple[Wrapping, ...] = ()) -> LaneSpec:
        """The lane of a sink called `name`."""
        return cls(
            name=name,
            backend=backend.name,
            sink=backend.sink,
            options_type=f"{backend.options.__module__}:{backend.options.__qualname__}",
            options=msgspec.to_builtins(options),
            middleware=middleware,
            kinds_in_order=backend.kinds_in_order,
            lanes_at_once=backend.lanes_at_once,
        )


@learned
class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` holds. Secrets in options are redacted there; the courier gets them through its pipe."""

    run: RunStart
    owner: Owner
    sinks: tuple[SinkEntry, ...]
    log_frequency: Annotated[int, msgspec.Meta(ge=1)] = 1
