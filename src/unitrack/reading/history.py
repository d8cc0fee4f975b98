"""The history of one metric of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, overload

from unitrack.hookspecs import Columns


class Point(NamedTuple):
    """One point of a metric."""

    step: int
    value: float
    time: int
    """When it was logged, in milliseconds since the epoch."""


class History(Sequence[Point]):
    """Every point of one metric, in the order of logging: `for step, value, time in history`.

    It is kept in columns, `steps`, `values` and `times`; NumPy takes one without a copy: `np.asarray(history.values)`.
    """

    def __init__(self, metric: str, columns: Columns) -> None:
        self.metric = metric
        self.columns = columns

    @property
    def steps(self) -> memoryview:
        """The steps, as 64-bit integers."""
        return self.columns.steps

    @property
    def values(self) -> memoryview:
        """The values, as 64-bit floats."""
        return self.columns.values

    @property
    def times(self) -> memoryview:
        """When each point was logged, in milliseconds since the epoch, as 64-bit integers."""
        return self.columns.times

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, index: int) -> Point: ...

    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...

    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        if isinstance(index, slice):
            return list(map(Point, self.steps[index], self.values[index], self.times[index]))
        return Point(self.steps[index], self.values[index], self.times[index])

    def __eq__(self, other: object) -> bool:
        """Whether the points are those of another history, or of a list of points."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == one for mine, one in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<History of {self.metric!r}, {len(self)} points>"
