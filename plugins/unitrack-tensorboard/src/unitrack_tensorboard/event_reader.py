"""The points of event files in columns, and the other values one by one."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_HALF
from tensorboard.util.tensor_util import make_ndarray

from unitrack_tensorboard.dashboards import Dashboards, is_scalar
from unitrack_tensorboard.frame_reader import Array, Frames, stretches
from unitrack_tensorboard.plain_scalars import Form, groups, varints
from unitrack_tensorboard.points import IN_ORDER, Points, Tags, milliseconds, milliseconds_of
from unitrack_tensorboard.summaries import read_scalar

_MAX_ORDER = 2**63 - 1

_log = logging.getLogger(__name__)


class Other(NamedTuple):
    """A value that is no scalar."""

    number: int
    """Of the event in its stretch."""
    event: Any
    place: int
    """Of the value in the event's summary."""
    path: Path
    position: int
    """Of the event in the file, for `payload_at`."""
    plugin: str
    """The dashboard that the tag is for, as far as the file says so."""

    @property
    def value(self) -> Any:
        """The `Summary.Value`."""
        return self.event.summary.value[self.place]


class Batch(NamedTuple):
    """What one stretch of a file holds, both in the order of the file."""

    points: Points
    others: list[Other]


class _Plain(NamedTuple):
    """Events of one form."""

    form: Form
    numbers: Array
    rows: Array
    tags: list[Array]
    """Of each value of the form."""


class EventReader:
    """Reads event files of one run, one behind the other."""

    def __init__(self) -> None:
        self.tags = Tags()
        self._dashboards = Dashboards()
        self._undecodable = 0

    def read(self, paths: Iterable[Path]) -> Iterator[Batch]:
        """Yield what the files hold, a few MiB at a time. Raises `OSError`."""
        for path in paths:
            self._undecodable = 0
            for frames in stretches(path):
                yield self._batch(path, frames)
            if self._undecodable:
                _log.warning("%s: %d events can't be decoded, and were skipped", path, self._undecodable)

    def _batch(self, path: Path, frames: Frames) -> Batch:
        plain, rest = [], []
        for numbers, rows, form in groups(frames.data, frames.starts, frames.ends):
            if form is None:
                rest += numbers.tolist()
            else:
                plain.append(self._with_tags(form, numbers, rows))
        self._dashboards.begin(self._first_scalars(plain))
        single, others = self._parsed(path, frames, sorted(rest))
        return Batch(Points.join([single, *map(self._points, plain)]).in_order(), others)

    def _with_tags(self, form: Form, numbers: Array, rows: Array) -> _Plain:
        """Events of one form with the tags of their values. Those with a tag that is no UTF-8 are left out."""
        tags = [self.tags.numbers(rows[:, value.tag]) for value in form.values]
        whole: Array = np.ones(len(rows), bool)
        for of_value in tags:
            whole &= of_value >= 0
        if whole.all():
            return _Plain(form, numbers, rows, tags)
        self._undecodable += int((~whole).sum())
        return _Plain(form, numbers[whole], rows[whole], [of_value[whole] for of_value in tags])

    def _first_scalars(self, plain: list[_Plain]) -> dict[str, int]:
        """The tags of tensors that name the Scalars dashboard, each with the number of the first such event."""
        first: dict[str, int] = {}
        for one in plain:
            for value, tags in zip(one.form.values, one.tags, strict=True):
                if value.is_scalar:
                    for tag, place in zip(*(of.tolist() for of in np.unique(tags, return_index=True)), strict=True):
                        name, number = self.tags.names[tag], int(one.numbers[place])
                        first[name] = min(number, first.get(name, number))
        return first

    def _points(self, plain: _Plain) -> Points:
        form, numbers, rows, tags_of_values = plain
        nothing: Array = np.zeros(len(rows), np.int64)
        seconds = _of(rows, form.time, "<f8") if form.time else nothing.astype(np.float64)
        times, steps = milliseconds(seconds), varints(rows[:, form.step]) if form.step else nothing
        parts = []
        for value, tags in zip(form.values, tags_of_values, strict=True):
            orders: Array = nothing + IN_ORDER
            size = value.number.stop - value.number.start
            with np.errstate(invalid="ignore"):  # a signaling NaN
                values: Array = _of(rows, value.number, f"<f{size}").astype(np.float64)
            if value.exact:
                values = _of(rows, slice(value.exact.start, value.exact.start + 8), "<f8")
                if value.exact.stop - value.exact.start == 16:
                    orders = _of(rows, slice(value.exact.start + 8, value.exact.stop), "<i8") & _MAX_ORDER
            points = Points(numbers, tags, steps, values, times, orders)
            if value.is_tensor:
                points = points.at(self._dashboards.are_scalars(self.tags.names, tags, numbers))
            parts.append(points)
        if len(parts) == 1:
            return parts[0]
        joined = Points.join(parts)
        return joined.at(np.argsort(joined.events, kind="stable"))  # of one event, in the order of its values

    def _parsed(self, path: Path, frames: Frames, numbers: list[int]) -> tuple[Points, list[Other]]:
        """The points and other values of events that protobuf has to parse."""
        rows: list[tuple[int, int, int, float, int, int]] = []
        others: list[Other] = []
        for number in numbers:
            try:
                event = Event.FromString(frames.payload(number))
            except DecodeError:
                self._undecodable += 1
                continue
            time = milliseconds_of(event.wall_time)
            for place, value in enumerate(event.summary.value):
                named = value.metadata.plugin_data.plugin_name if value.HasField("metadata") else None
                plugin = self._dashboards.of(value.tag, number, named)
                scalar = _scalar(value, plugin)
                if scalar is None:
                    others.append(Other(number, event, place, path, frames.position(number), plugin))
                else:
                    order = IN_ORDER if scalar[1] is None else scalar[1] & _MAX_ORDER
                    rows.append((number, self.tags.number(value.tag.encode()), event.step, scalar[0], time, order))
        return Points.of(rows), others


def _scalar(value: Any, plugin: str) -> tuple[float, int | None] | None:
    """The number that a value is, and its order if it came late; None if it is none."""
    if value.HasField("simple_value"):
        return read_scalar(value)
    if not value.HasField("tensor") or not is_scalar(plugin) or elements(value.tensor) != 1:
        return None
    if not plugin and value.tensor.tensor_shape.dim:
        return None
    try:
        array = _array(value.tensor)
    except (TypeError, ValueError, LookupError):  # a type that it does not know, or less content than the shape says
        return None
    return (float(array.item()), None) if array.dtype.kind in "biuf" else None


def _array(tensor: Any) -> Array:
    """The numbers of a tensor of one element. `make_ndarray` reads halves in a way that NumPy 2.5 warns of."""
    if tensor.dtype == DT_HALF and tensor.half_val and not tensor.tensor_content:
        return np.array(tensor.half_val[:1], dtype=np.uint16).view(np.float16)
    array: Array = make_ndarray(tensor)
    return array


def elements(tensor: Any) -> int:
    """How many elements a tensor has by its shape. `make_ndarray` fills up those that it lacks."""
    return math.prod(dim.size for dim in tensor.tensor_shape.dim)


def _of(rows: Array, span: slice, type_: str) -> Array:
    """The numbers that bytes of each row are."""
    return np.ascontiguousarray(rows[:, span]).view(type_).ravel()
