"""The points of one metric as three columns: 24 bytes a point, taken by NumPy, Arrow and a file without a copy."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import msgspec

from unitrack.records import Metrics


class Columns(msgspec.Struct, frozen=True):
    """The points of one metric, in the order of logging; `steps[i]`, `values[i]` and `times[i]` are one point.

    Each column is a memoryview of 8 bytes an entry, of an array, of a NumPy array or of a mapped file.
    """

    steps: memoryview
    """Format "q"."""
    values: memoryview
    """Format "d"; NaN and infinity are values as others."""
    times: memoryview
    """Format "q": milliseconds since the epoch."""

    def __len__(self) -> int:
        return len(self.steps)


class ColumnsBuilder:
    """Columns that grow point by point."""

    def __init__(self) -> None:
        self._steps, self._values, self._times = array("q"), array("d"), array("q")

    def add(self, step: int, value: float, time: int) -> None:
        """Add one point."""
        self._steps.append(step)
        self._values.append(value)
        self._times.append(time)

    def extend(self, steps: Sequence[int], values: Sequence[float], times: Sequence[int]) -> None:
        """Add several points."""
        self._steps.extend(steps)
        self._values.extend(values)
        self._times.extend(times)

    def build(self) -> Columns:
        """Return the columns; nothing may be added afterwards."""
        return Columns(memoryview(self._steps), memoryview(self._values), memoryview(self._times))


def columns_of(records: Iterable[Metrics]) -> dict[str, Columns]:
    """Return the points of records by metric, in the order of the first points."""
    builders: dict[str, ColumnsBuilder] = {}
    for record in records:
        for name, value in record.values().items():
            builder = builders.get(name)
            if builder is None:
                builder = builders[name] = ColumnsBuilder()
            builder.add(record.step, value, record.time)
    return {name: builder.build() for name, builder in builders.items()}
