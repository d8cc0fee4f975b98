"""The manifest of a run, `run.json`: its identity, its owner and its sinks; and the lanes of these sinks."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec

from unitrack.hookspecs import Backend, SinkOptions
from unitrack.records import RunStart
from unitrack.system.processes import Owner

THINNING = "unitrack.delivery.lane.thinning:Thinning"
"""The middleware that a lane applies itself while it reads: its counts are committed with the offset."""


class MiddlewareEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Middleware that a sink's options ask for, as stored in `run.json`."""

    name: str
    """The option that asked for it."""
    value: Any
    """Its argument, as JSON values."""


class SinkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A sink of a run as stored in `run.json`: names only, never a class.

    So the file stays valid when a plugin moves its modules, and a file from a stranger can't name a class to import.
    """

    name: str
    backend: str
    options: dict[str, Any] = {}
    middleware: tuple[MiddlewareEntry, ...] = ()


class Wrapping(MiddlewareEntry, frozen=True, kw_only=True):
    """Middleware with the class that implements it."""

    wrapper: str
    """"module:Class", as in `hookspecs.Middleware.wrapper`."""


class LaneSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a courier needs to deliver a run to one sink."""

    name: str
    backend: str
    sink: str
    """The sink's class, "module:Class"."""
    options_type: str
    """The class of its options, "module:Class"."""
    options: dict[str, Any] = {}
    middleware: tuple[Wrapping, ...] = ()
    """From the outside in: the first one gets a batch first."""
    kinds_in_order: bool = True
    lanes_at_once: int | None = None
    """Both as in `hookspecs.Backend`."""
    imports_sdk: bool = False
    """Whether importing the sink imports packages of its backend, which may take seconds."""
    is_shared: bool = False
    """As in `hookspecs.SinkOptions`."""

    @property
    def keep_every(self) -> int:
        """The thinning factor: every n-th point of each metric is delivered to this sink."""
        return math.prod(one.value for one in self.middleware if one.wrapper == THINNING)

    @property
    def entry(self) -> SinkEntry:
        """The part of it that `run.json` stores."""
        kept = tuple(MiddlewareEntry(name=one.name, value=one.value) for one in self.middleware)
        return SinkEntry(name=self.name, backend=self.backend, options=self.options, middleware=kept)

    @classmethod
    def of(cls, name: str, backend: Backend, options: SinkOptions, middleware: tuple[Wrapping, ...] = ()) -> LaneSpec:
        """Return the lane of a sink called `name`, whose backend has sinks."""
        assert backend.sink is not None, f"{backend.name!r} can only be read"
        return cls(
            name=name,
            backend=backend.name,
            sink=backend.sink,
            options_type=f"{backend.options.__module__}:{backend.options.__qualname__}",
            options=msgspec.to_builtins(options),
            middleware=middleware,
            kinds_in_order=backend.kinds_in_order,
            lanes_at_once=backend.lanes_at_once,
            imports_sdk=bool(backend.requires),
            is_shared=options.is_shared(),
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `run.json`. Secrets in options are redacted; a courier gets them through its pipe."""

    run: RunStart
    owner: Owner
    sinks: tuple[SinkEntry, ...]
    log_frequency: Annotated[int, msgspec.Meta(ge=1)] = 1
