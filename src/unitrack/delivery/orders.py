"""What a training process tells its couriers, one JSON object a line through a pipe."""

from __future__ import annotations

import msgspec

from unitrack.learned import learned
from unitrack.manifest import LaneSpec


@learned
class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Deliver one sink of one run."""

    folder: str
    """The run folder."""
    lane: LaneSpec
    sample_every: float | None = None
    """Also sample system metrics into that run, every so many seconds."""
    sys_path: list[str] = []
    """The owner's import path, so that a sink defined beside a script is found."""
