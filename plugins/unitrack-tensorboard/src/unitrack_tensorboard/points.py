"""Points in columns, as NumPy arrays: those of one stretch of an event file, and of a whole run by tag."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal, NamedTuple, cast

import numpy as np

from unitrack.hookspecs import Columns, MetricSummary
from unitrack.records import MAX_TIME, Metrics
from unitrack_tensorboard.frame_reader import Array

IN_ORDER = -1
"""The order of a point that no late folder holds."""

_SHORT = 256
"""Entries of a column that are copied in less time than NumPy needs for a view."""


class Tags:
    """The tags of a run, numbered as they come. Points have the numbers."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def number(self, tag: bytes) -> int:
        """Return the number of a tag; -1 if it is no UTF-8, as protobuf wants it."""
        number = self._numbers.get(tag)
        if number is None:
            try:
                self.names.append(tag.decode())
                number = len(self.names) - 1
            except UnicodeDecodeError:
                number = -1
            self._numbers[tag] = number
        return number

    def numbers(self, tags: Array) -> Array:
        """Return the numbers of tags of one length, whose bytes are rows."""
        if not tags.shape[1]:
            return np.full(len(tags), self.number(b""), np.int64)
        if (tags == tags[0]).all():
            return np.full(len(tags), self.number(tags[0].tobytes()), np.int64)
        each = np.ascontiguousarray(tags).view(f"V{tags.shape[1]}").ravel().tolist()
        known = {tag: self.number(tag) for tag in dict.fromkeys(each)}
        return np.fromiter(map(known.__getitem__, each), np.int64, len(each))


class Points(NamedTuple):
    """Points, an entry of each array each, in the order of the file."""

    events: Array
    """The number of the event."""
    tags: Array
    steps: Array
    values: Array
    times: Array
    """Milliseconds since the epoch."""
    orders: Array
    """How many points of the tag came before a late one; else `IN_ORDER`."""

    @classmethod
    def join(cls, parts: Iterable[Points]) -> Points:
        """Return points one behind the other."""
        found = list(parts)
        if len(found) < 2:
            return found[0] if found else cls.of([])
        return cls(*map(np.concatenate, zip(*found, strict=True)))

    @classmethod
    def of(cls, rows: Collection[tuple[int, int, int, float, int, int]]) -> Points:
        """Return points that are given each by itself."""
        columns = list(zip(*rows, strict=True)) or [()] * len(_TYPES)
        return cls(*(np.array(column, type_) for column, type_ in zip(columns, _TYPES, strict=True)))

    def at(self, which: Array) -> Points:
        """Return some of the points, or all in another order."""
        return Points(*(column[which] for column in self))

    def singly(self) -> Points:
        """Return the points as if each had an event of its own."""
        return self._replace(events=np.arange(len(self.events)))

    def in_order(self) -> Points:
        """Return the points in the order of their events."""
        if (self.events[1:] >= self.events[:-1]).all():
            return self
        return self.at(np.argsort(self.events, kind="stable"))


_TYPES = (np.int64, np.int64, np.int64, np.float64, np.int64, np.int64)


def milliseconds(seconds: Array) -> Array:
    """Return wall times of events in milliseconds since the epoch; 0 for NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.nan_to_num(np.rint(seconds * 1000), nan=0).clip(-MAX_TIME, MAX_TIME).astype(np.int64)


def milliseconds_of(seconds: float) -> int:
    """Return the wall time of one event in milliseconds since the epoch; 0 for NaN."""
    return int(milliseconds(np.array([seconds]))[0])


def by_tag(points: Points) -> dict[int, Points]:
    """Return the points of each tag, in their order; tags in the order of their first points."""
    if not len(points.tags):
        return {}
    if (points.tags == points.tags[0]).all():
        return {int(points.tags[0]): points}
    order = np.argsort(points.tags, kind="stable")
    ordered = points.at(order)
    borders = [0, *(np.flatnonzero(np.diff(ordered.tags)) + 1).tolist(), len(order)]
    spans = [slice(begin, end) for begin, end in itertools.pairwise(borders)]
    spans.sort(key=lambda span: int(order[span.start]))
    return {int(ordered.tags[span.start]): Points(*(column[span] for column in ordered)) for span in spans}


class Selection:
    """Chooses the points of some tags."""

    def __init__(self, tags: Tags, is_wanted: Callable[[str], bool]) -> None:
        self.tags = tags
        self._is_wanted = is_wanted
        self._wanted: list[bool] = []

    def of(self, points: Points) -> Points:
        """Return the points whose tags are wanted."""
        self._wanted += map(self._is_wanted, self.tags.names[len(self._wanted) :])
        chosen = np.array(self._wanted, bool)[points.tags]
        return points if chosen.all() else points.at(chosen)


def gather(selection: Selection, stretches: Iterable[Points]) -> dict[str, Points]:
    """Return the points of each wanted tag; tags in the order of their first points."""
    points = Points.join(map(selection.of, stretches))
    return {selection.tags.names[tag]: of_tag for tag, of_tag in by_tag(points).items()}


def with_late(points: Points | None, late: Points | None) -> Points:
    """Return the points of one tag with those that came late in their places."""
    points = Points.of([]) if points is None else points
    if late is None:
        return points
    orders, last = np.unique(late.orders[::-1], return_index=True)
    places = np.minimum(orders - np.arange(len(orders)), len(points.steps))
    chosen = late.at(len(late.orders) - 1 - last)
    return Points(*(np.insert(column, places, of_late) for column, of_late in zip(points, chosen, strict=True)))


def columns(points: Points) -> Columns:
    """Return points of one metric as the core takes them."""
    return Columns(_view(points.steps, "q"), _view(points.values, "d"), _view(points.times, "q"))


def _view(column: Array, typecode: Literal["q", "d"]) -> memoryview:
    """A view of a column. A short one is copied: a view of a NumPy array takes ten times as long to make."""
    if len(column) > _SHORT:
        return cast("memoryview", memoryview(column).cast("B").cast(typecode))  # NumPy calls 64-bit integers "l"
    return memoryview(array(typecode, column.tobytes()))


def records(points: Points, names: list[str]) -> Iterator[tuple[int, Metrics]]:
    """Yield the record of each event that has points, with its number. A tag that is twice in an event makes two."""
    values: dict[str, float] = {}
    at: tuple[int, int, int] | None = None
    rows = zip(*(column.tolist() for column in points[:5]), strict=True)
    for event, tag, step, value, time in rows:
        name = names[tag]
        if at and (event != at[0] or name in values):
            yield at[0], _record(at, values)
            values = {}
        at = event, step, time
        values[name] = value
    if at:
        yield at[0], _record(at, values)


def _record(at: tuple[int, int, int], values: dict[str, float]) -> Metrics:
    return Metrics(seq=0, time=at[2], step=at[1], metrics={}).with_values(values)


def summarize(points: Points) -> MetricSummary:
    """Return the summary of the points of one metric."""
    metric = MetricSummary()
    for step, value in zip(points.steps.tolist(), points.values.tolist(), strict=True):
        metric.add(step, value)
    return metric
