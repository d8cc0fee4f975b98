"""Reading the demo's run back from a backend, through that backend's own SDK or file format, and comparing."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Literal

import msgspec

from unitrack.demo.points import LOSS, Points
from unitrack.hookspecs import Backend, Link
from unitrack.plugins import load_object
from unitrack.records import Artifact, Metrics, Params, flatten

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
        """Whether these are exactly the points that were logged, each once and bit for bit."""
        held = {(name, step): value for name, step, value in self.points}
        if len(self.points) != len(logged) or held.keys() != logged.keys():
            return "different"
        if all(_bits(held[key]) == _bits(value) for key, value in logged.items()):
            return "exact"
        return "float32" if all(held[key] == _as_float32(value) for key, value in logged.items()) else "different"


def read_back(backend: Backend, link: Link) -> Holding:
    """Everything of one run. Raises whatever the backend's reader raises; there must be one."""
    assert backend.source is not None
    params: dict[str, object] = {}
    points: list[tuple[str, int, float]] = []
    artifacts = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an SDK's, about itself
        for record in load_object(backend.source)(link.location).records(link.id):
            match record:
                case Params():
                    params |= flatten(record.params)
                case Metrics():
                    points += [(name, record.step, value) for name, value in record.values().items()]
                case Artifact():
                    artifacts += 1
    return Holding(where=_where(link), params=len(params), points=points, artifacts=artifacts)


def _where(link: Link) -> str:
    """The run's own folder where the location is one that holds several."""
    own = Path(link.location) / link.id
    return str(own) if own.is_dir() else link.location


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


def _as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
