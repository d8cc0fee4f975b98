"""Scalars of many events at once, without a Python object an event.

Most events of a log differ only in their time, step, tag and value. So one event of a group of the same length is taken
apart by the wire format of protobuf, which gives the places of those four; all events that equal it everywhere else
are decoded together by NumPy. What is no plain scalar is left to the protobuf parser.

The fields are those of tensorboard/compat/proto: event.proto, summary.proto, tensor.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT
from tensorboard.plugins.scalar.metadata import PLUGIN_NAME as SCALARS

from unitrack_tensorboard.frame_reader import Array
from unitrack_tensorboard.summaries import OWN_PLUGIN

MAX_BYTES = 32 * 1024
"""Of an event; larger ones are no plain scalars, or cost little next to their bytes."""
_MIN_ROWS = 8
"""Of a group; below it, the protobuf parser is as fast."""
_MAX_FORMS = 64
"""Of events of one length in one stretch of a file. What has others is left to the protobuf parser."""
_MAX_POOR = 8
"""Forms with fewer than `_MIN_ROWS` events that are tried."""

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5

Span = slice
"""Bytes of an event."""


class _NotPlainError(Exception):
    """The event is no plain scalar, or damaged."""


class Value(NamedTuple):
    """Where a value is in an event."""

    tag: Span
    number: Span
    """Four or eight bytes of a float."""
    exact: Span | None = None
    """What `summaries.add_scalar` put beside it."""
    is_tensor: bool = False
    is_scalar: bool = False
    """Whether a tensor says that it is for the Scalars dashboard."""


class Form(NamedTuple):
    """The places of what differs among events of one form."""

    time: Span | None
    step: Span | None
    values: tuple[Value, ...]
    fixed: Array
    """Whether each byte is the same in all of them."""

    @classmethod
    def of(cls, event: bytes) -> Form | None:
        """Return the form of an event; None if it is no plain scalar."""
        try:
            Event.FromString(event)  # what is the same in all of them is what protobuf takes, such as UTF-8
            time, step, values = _event(event)
        except (_NotPlainError, DecodeError):
            return None
        fixed: Array = np.ones(len(event), bool)
        for span in (time, step, *(span for value in values for span in (value.tag, value.number, value.exact))):
            if span is not None:
                fixed[span] = False
        return cls(time, step, values, fixed)

    def fits(self, rows: Array, example: int) -> Array:
        """Return which rows, of the bytes of one event each, are of this form, that of `rows[example]`."""
        fits: Array = (rows[:, self.fixed] == rows[example, self.fixed]).all(axis=1)
        if self.step is not None:
            goes_on = rows[:, self.step] >= 0x80
            fits &= (goes_on == goes_on[example]).all(axis=1)
        return fits


def groups(data: bytes, starts: Array, ends: Array) -> Iterator[tuple[Array, Array, Form | None]]:
    """Yield events in groups of one form: their numbers, their bytes in rows, and the form, or None for those that the
    protobuf parser has to read. Each event is in one group.
    """
    lengths = ends - starts
    by_length = np.argsort(lengths, kind="stable")
    borders: Array = np.flatnonzero(np.diff(lengths[by_length])) + 1
    for numbers in np.split(by_length, borders):
        length = int(lengths[numbers[0]])
        if not 0 < length <= MAX_BYTES:
            yield numbers, _NO_ROWS, None
            continue
        everywhere = np.ndarray((len(data) - length + 1,), f"V{length}", data, 0, (1,))
        rows = everywhere[starts[numbers]].view(np.uint8).reshape(len(numbers), length)
        yield from _of_one_length(numbers, rows)


_NO_ROWS: Array = np.zeros((0, 0), np.uint8)


def _of_one_length(numbers: Array, rows: Array) -> Iterator[tuple[Array, Array, Form | None]]:
    poor = attempt = 0
    while len(numbers) >= _MIN_ROWS and attempt < _MAX_FORMS and poor < _MAX_POOR:
        example = attempt * 7919 % len(numbers)  # anywhere: at the beginning may lie many that are no scalars
        form = Form.of(rows[example].tobytes())
        fits = form.fits(rows, example) if form else np.arange(len(numbers)) == example
        yield numbers[fits], rows[fits], form
        poor += int(fits.sum()) < _MIN_ROWS
        attempt += 1
        numbers, rows = numbers[~fits], rows[~fits]
    if len(numbers):
        yield numbers, rows, None


def varints(rows: Array) -> Array:
    """Return the integers of varints of one length, a row each."""
    found: Array = np.zeros(len(rows), np.uint64)
    for place in range(rows.shape[1]):
        found |= (rows[:, place].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * place)
    return found.view(np.int64)


def _event(event: bytes) -> tuple[Span | None, Span | None, tuple[Value, ...]]:
    time = step = summary = None
    for number, wire, span in _fields(event, 0, len(event)):
        if (number, wire) == (1, _I64) and time is None:
            time = span
        elif (number, wire) == (2, _VARINT) and step is None:
            step = span
        elif (number, wire) == (5, _LEN) and summary is None:
            summary = span
        else:
            raise _NotPlainError
    if summary is None:
        raise _NotPlainError
    return time, step, tuple(_value(event, span) for span in _all_of(event, summary, 1))


def _value(event: bytes, where: Span) -> Value:
    fields = _once(event, where)
    tag, simple, tensor, metadata = (fields.pop(key, None) for key in ((1, _LEN), (2, _I32), (8, _LEN), (9, _LEN)))
    if fields or tag is None or (simple is None) == (tensor is None):
        raise _NotPlainError
    plugin, content = _plugin(event, metadata)
    if simple is not None:
        if plugin and (plugin != OWN_PLUGIN.encode() or content is None or content.stop - content.start not in (8, 16)):
            raise _NotPlainError
        return Value(tag, simple, content if plugin else None)
    if metadata is not None and plugin != SCALARS.encode():
        raise _NotPlainError
    assert tensor is not None
    return Value(tag, _tensor(event, tensor), is_tensor=True, is_scalar=metadata is not None)


def _plugin(event: bytes, metadata: Span | None) -> tuple[bytes, Span | None]:
    """The name of the plugin that a summary's metadata name, and where what they hold for it is."""
    if metadata is None:
        return b"", None
    data = _once(event, metadata).get((1, _LEN))
    if data is None:
        return b"", None
    fields = _once(event, data)
    name = fields.get((1, _LEN))
    return event[name] if name else b"", fields.get((2, _LEN))


def _tensor(event: bytes, where: Span) -> Span:
    """The float of a tensor that is one."""
    fields = _once(event, where)
    type_, shape = fields.pop((1, _VARINT), None), fields.pop((2, _LEN), None)
    if type_ is None or len(fields) != 1 or (shape is not None and shape.start != shape.stop):
        raise _NotPlainError
    [(key, span)] = fields.items()
    known = {DT_FLOAT: (4, ((4, _LEN), (5, _LEN), (5, _I32))), DT_DOUBLE: (8, ((4, _LEN), (6, _LEN), (6, _I64)))}
    size, keys = known.get(event[type_.start], (0, ()))
    if type_.stop - type_.start != 1 or key not in keys or span.stop - span.start != size:
        raise _NotPlainError
    return span


def _once(event: bytes, where: Span) -> dict[tuple[int, int], Span]:
    """The fields of a message, by number and wire type."""
    found: dict[tuple[int, int], Span] = {}
    for number, wire, span in _fields(event, where.start, where.stop):
        if (number, wire) in found:
            raise _NotPlainError
        found[number, wire] = span
    return found


def _all_of(event: bytes, where: Span, wanted: int) -> Iterator[Span]:
    for number, wire, span in _fields(event, where.start, where.stop):
        if (number, wire) != (wanted, _LEN):
            raise _NotPlainError
        yield span


def _fields(event: bytes, begin: int, end: int) -> Iterator[tuple[int, int, Span]]:
    """Number, wire type and bytes of each field of a message."""
    while begin < end:
        key, begin = _varint(event, begin, end)
        wire = key & 7
        if wire == _VARINT:
            _, stop = _varint(event, begin, end)
        elif wire == _LEN:
            size, begin = _varint(event, begin, end)
            stop = begin + size
        elif wire in (_I64, _I32):
            stop = begin + (8 if wire == _I64 else 4)
        else:
            raise _NotPlainError
        if stop > end or not key >> 3:
            raise _NotPlainError
        yield key >> 3, wire, slice(begin, stop)
        begin = stop


def _varint(event: bytes, begin: int, end: int) -> tuple[int, int]:
    """A varint and where it ends."""
    found = 0
    for place in range(10):
        if begin + place >= end:
            break
        byte = event[begin + place]
        found |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return found, begin + place + 1
    raise _NotPlainError
