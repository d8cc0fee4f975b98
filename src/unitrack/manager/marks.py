"""How much of a run has been replayed, in a form that tells a run that has grown from one that has changed."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

import msgspec

from unitrack.errors import UnitrackError
from unitrack.records import (
    COPIED_FROM,
    AnyRecord,
    Artifact,
    Metrics,
    Params,
    RunEnd,
    RunStart,
    RunStatus,
    Tags,
    flatten,
    merge,
)
from unitrack.values.plain import changed_params

_pack = struct.Struct("<qdq").pack

Mark = tuple[int, int]
"""A count, and a CRC-32 of what was counted, in order."""


class ChangedError(UnitrackError):
    """What was replayed of a run is no longer the beginning of what its source gives."""


class Marks(msgspec.Struct, kw_only=True):
    """The account of a replay."""

    points: dict[str, Mark] = {}
    """By metric: of step, value and time of each point."""
    artifacts: dict[str, Mark] = {}
    """By name: of type, size, step and time of each record."""
    params: dict[str, Any] = {}
    """Nested; of several values the last."""
    tags: dict[str, str] = {}
    description: str = ""
    status: RunStatus = "running"
    ended: int = 0
    non_finite: int = 0
    """Points that are NaN or infinite."""
    kinds: dict[str, int] = {}
    """Artifacts by type."""

    @property
    def point_count(self) -> int:
        """All points."""
        return sum(count for count, _ in self.points.values())

    @property
    def artifact_count(self) -> int:
        """All records of artifacts."""
        return sum(count for count, _ in self.artifacts.values())

    def add_points(self, record: Metrics) -> None:
        """Count the points of a record."""
        points, step, time = self.points, record.step, record.time
        self.non_finite += len(record.special)
        for name, value in record.values().items():
            count, crc = points.get(name, (0, 0))
            points[name] = (count + 1, crc32(_pack(step, value, time), crc))

    def add(self, record: AnyRecord) -> None:
        """Count a record of any other kind."""
        match record:
            case Metrics():
                self.add_points(record)
            case Params():
                self.params = merge(self.params, record.params)
            case RunStart():
                self.tags = self.tags | record.tags
                self.description = record.description
            case Tags():
                self.tags = self.tags | record.tags
            case Artifact():
                count, crc = self.artifacts.get(record.name, (0, 0))
                shown = f"{record.type} {record.size} {record.step} {record.time}"
                self.artifacts[record.name] = (count + 1, crc32(shown.encode(), crc))
                self.kinds[record.type] = self.kinds.get(record.type, 0) + 1
            case RunEnd():
                self.status, self.ended = record.status, record.time


def beyond(known: Marks, records: Iterator[AnyRecord], now: Marks) -> Iterator[AnyRecord]:
    """Yield what records hold beyond what is `known`, and count all of them in `now`.

    Changed params and tags come once each, at the end. Raises `ChangedError`, at the latest after the last record, if
    the known part of it has changed.
    """
    time = 0
    for record in records:
        now.add(record)
        time = max(time, record.time)
        match record:
            case Metrics():
                values = record.values()
                new = {name: value for name, value in values.items() if _is_new(name, now.points, known.points)}
                if new:
                    yield record if len(new) == len(values) else record.with_values(new)
            case Artifact():
                if _is_new(record.name, now.artifacts, known.artifacts):
                    yield record
    for what, before, after in (("metric", known.points, now.points), ("artifact", known.artifacts, now.artifacts)):
        for name, (count, _) in before.items():
            if after.get(name, (0, 0))[0] < count:
                raise ChangedError(f"{what} {name!r} has lost some of what was copied")
    if params := changed_params(known.params, now.params):
        yield Params(seq=0, time=time, params=params)
    if tags := {name: value for name, value in now.tags.items() if known.tags.get(name) != value}:
        yield Tags(seq=0, time=time, tags=tags)


def _is_new(name: str, now: Mapping[str, Mark], known: Mapping[str, Mark]) -> bool:
    """Return whether the last that was counted under a name is beyond what is known of it."""
    before = known.get(name)
    if before is None or now[name][0] > before[0]:
        return True
    if now[name] != before and now[name][0] == before[0]:
        raise ChangedError(f"{name!r} has changed within what was copied")
    return False


def difference_of(records: Iterator[AnyRecord], others: Iterator[AnyRecord]) -> str | None:
    """Return the first thing in which two runs differ, what the second has beside it aside; None if there is none."""
    left, right = Marks(), Marks()
    for marks, run in ((left, records), (right, others)):
        for record in run:
            marks.add(record)
    for name, mark in left.points.items():
        if right.points.get(name) != mark:
            return f"the points of {name!r} differ"
    one, other = flatten(left.params), flatten(right.params)
    for what, expected, found in (("param", one, other), ("tag", left.tags, right.tags)):
        for name, value in expected.items():
            if name != COPIED_FROM and found.get(name) != value:
                return f"{what} {name!r} differs"
    for name in left.artifacts:
        if name not in right.artifacts:
            return f"artifact {name!r} is missing"
    return None if left.status == right.status else f"its status is {right.status!r}, not {left.status!r}"
