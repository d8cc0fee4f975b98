"""Reading the demo's run back from a backend, through that backend's own SDK or file format, and comparing."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Literal

import msgspec

from unitrack.demo.points import LOSS, Points
from unitrack.hookspecs import Backend, Link
from unitrack.plugins.options import load_object
from unitrack.records import Metrics
from unitrack.values.run_summary import RunFold

Match = Literal["exact", "float32", "different"]
"""`float32`: as near as a backend gets that stores 32-bit floats."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend holds of the run."""

    where: str
    params: int
    points: list[tuple[str, int, float]]
    """All of them: one that is there twice counts twice."""
    artifacts: int

    @property
    def last_loss(self) -> float | None:
        """The loss at the highest step."""
        losses = [(step, value) for name, step, value in self.points if name == LOSS]
        return max(losses)[1] if losses else None

    def matches(self, logged: Points) -> Match:
        """Return whether these are exactly the points that were logged, each once and bit for bit."""
        held = {(name, step): value for name, step, value in self.points}
        if len(self.points) != len(logged) or held.keys() != logged.keys():
            return "different"
        if all(_bits(held[key]) == _bits(value) for key, value in logged.items()):
            return "exact"
        return "float32" if all(held[key] == _as_float32(value) for key, value in logged.items()) else "different"


def read_back(backend: Backend, link: Link) -> Holding:
    """Return everything of one run. Raises what the backend's reader raises; there must be one."""
    assert backend.source is not None
    found = _WithPoints()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an SDK's, about itself
        for record in load_object(backend.source)(link.location).records(link.id):
            found.add(record)
    return Holding(where=_where(link), params=len(found.params), points=found.points, artifacts=len(found.artifacts))


class _WithPoints(RunFold, kw_only=True):
    """A run with all its points."""

    points: list[tuple[str, int, float]] = msgspec.field(default_factory=list)

    def add_points(self, record: Metrics) -> None:
        """Keep points."""
        self.points += [(name, record.step, value) for name, value in record.values().items()]


def _where(link: Link) -> str:
    """Return the run's own folder where the location holds several runs."""
    own = Path(link.location) / link.id
    return str(own) if own.is_dir() else link.location


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


def _as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
