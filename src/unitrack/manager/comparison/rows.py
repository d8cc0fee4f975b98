"""The rows of a comparison: one thing, in every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from unitrack.reading import MetricSummary
from unitrack.values.directions import Direction, direction_of


class Row(msgspec.Struct, frozen=True):
    """A param, a tag, a fact of the environment or a file in each run."""

    name: str
    values: tuple[Any, ...]
    """By run; None where a run does not have it."""

    @property
    def differs(self) -> bool:
        """Whether not all runs have the same value. 1, 1.0 and "1" are three values."""
        return len({msgspec.json.encode(value, order="sorted") for value in self.values}) > 1


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in each run; None where a run does not have it."""

    name: str
    direction: Direction
    """Whether it is better when low, "min", or when high, "max"."""
    last: tuple[float | None, ...]
    """The value at the highest step."""
    best: tuple[float | None, ...]
    """The least value, or the greatest."""
    delta: tuple[float | None, ...]
    """`last` minus that of the baseline; None for the baseline itself."""

    def is_better(self, run: int) -> bool | None:
        """Whether a run's last value is better than the baseline's; None if it is neither better nor worse."""
        delta = self.delta[run]
        if not delta or delta != delta:
            return None
        return (delta < 0) == (self.direction == "min")


def rows_of(mappings: Sequence[Mapping[str, Any]], keep: Callable[[str], bool] = lambda name: True) -> list[Row]:
    """Return a row for each name in mappings, one for each run: those that differ first, else in their order."""
    names = dict.fromkeys(name for mapping in mappings for name in mapping if keep(name))
    rows = [Row(name, tuple(mapping.get(name) for mapping in mappings)) for name in names]
    return sorted(rows, key=lambda row: not row.differs)


def metric_rows(
    metrics: Sequence[Mapping[str, MetricSummary]], baseline: int, goals: Mapping[str, str]
) -> list[MetricRow]:
    """Return a row for each metric of any run. Raises `ConfigError` for a goal that is neither "min" nor "max"."""
    names = dict.fromkeys(name for one in metrics for name in one)
    return [
        _metric_row(name, [one.get(name) for one in metrics], baseline, direction_of(name, goals)) for name in names
    ]


def _metric_row(name: str, runs: list[MetricSummary | None], baseline: int, direction: Direction) -> MetricRow:
    last = tuple(None if one is None else one.last for one in runs)
    best = tuple(None if one is None else one.min if direction == "min" else one.max for one in runs)
    base = last[baseline]
    delta = tuple(
        None if number == baseline or value is None or base is None else value - base
        for number, value in enumerate(last)
    )
    return MetricRow(name=name, direction=direction, last=last, best=best, delta=delta)
