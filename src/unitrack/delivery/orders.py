"""What a training process tells its couriers, one JSON object a line through a pipe."""

from __future__ import annotations

import msgspec

from unitrack.learned import learned
from unitrack.limits import LINGER_S
from unitrack.manifest import LaneSpec


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is agreed on the delivery of a run beside its sinks."""

    sample_every: float | None = None
    """Seconds between samples of system metrics; None for none."""
    linger: float | None = LINGER_S
    """Seconds to go on with a backend that takes nothing once training has ended; None: for ever."""
    nice: int = 0
    """How far a courier steps back behind training, as for `nice`: 0 ... 19."""
    take_up: bool = False
    """Whether what earlier runs beside this one left pending is delivered as well."""


@learned
class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Deliver one sink of one run."""

    folder: str
    """The run folder."""
    lane: LaneSpec
    terms: Terms = Terms()
    sys_path: list[str] = []
    """The owner's import path, so that a sink defined beside a script is found."""
