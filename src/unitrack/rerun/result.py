"""The result of a rerun: whether it reproduced the run, metric by metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from unitrack.rerun.metrics import MetricResult
from unitrack.terminal.console import cell, make_table

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 20
"""Metrics and differences that are listed; `--json` has all."""
_GOOD = ("bit-equal", "within tolerance")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its rerun, compared."""

    run_id: str
    rerun_id: str
    rerun_name: str
    exit_code: int
    """Of the program; negative for a signal."""
    status: tuple[str, str]
    """Of the run and of the rerun."""
    metrics: tuple[MetricResult, ...]
    params: tuple[str, ...]
    """Params that differ, in words."""
    environment: tuple[str, ...]
    """What differs in the environment, in words."""

    @property
    def reproduced(self) -> bool:
        """Whether every metric is the same, or within the tolerance, and the run ended the same way."""
        ended = self.status[0] == self.status[1]
        return ended and bool(self.metrics) and all(one.verdict in _GOOD for one in self.metrics)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if not self.metrics:
            return "Nothing to compare: the run has no metrics"
        if self.status[0] != self.status[1]:
            return f"Not reproduced: it ended as {self.status[1]}, the run as {self.status[0]}"
        bad = [one.name for one in self.metrics if one.verdict not in _GOOD]
        count = len(self.metrics)
        if bad:
            return f"Not reproduced: {len(bad)} of {_metrics(count)} {'differs' if len(bad) == 1 else 'differ'}"
        equal = sum(one.verdict == "bit-equal" for one in self.metrics)
        points = sum(one.points for one in self.metrics)
        if equal == count:
            return f"Reproduced: {_metrics(count)}, {points} {'point' if points == 1 else 'points'}, bit for bit"
        return f"Reproduced within the tolerance: {equal} of {_metrics(count)} bit for bit"

    def print_to(self, console: Console) -> None:
        """Print a table of the metrics, what differs beside them, and the verdict."""
        console.print(cell(f"{self.run_id} and its rerun {self.rerun_id} ({self.rerun_name})", "bold"), soft_wrap=True)
        if self.metrics:
            ordered = sorted(self.metrics, key=lambda one: one.verdict == "bit-equal")
            table = make_table("metric", "points", "result", "largest deviation", "first at", right=("points",))
            for one in ordered[:_SHOWN]:
                style = "green" if one.verdict == "bit-equal" else "yellow" if one.verdict in _GOOD else "red"
                table.add_row(cell(one.name), cell(one.points), cell(one.verdict, style), *map(cell, _details(one)))
            console.print(table)
            if len(ordered) > _SHOWN:
                console.print(cell(f"and {len(ordered) - _SHOWN} more metrics, which --json lists", "dim"))
        for line in self._lines():
            console.print(cell(line, "yellow"), soft_wrap=True)
        console.print(cell(f"{self.verdict}.", "bold green" if self.reproduced else "bold red"), soft_wrap=True)

    def _lines(self) -> Iterator[str]:
        if self.exit_code:
            yield f"the program ended with exit code {self.exit_code}"
        for what, found in (("param", self.params), ("environment", self.environment)):
            yield from (f"{what}: {one}" for one in found[:_SHOWN])
            if len(found) > _SHOWN:
                yield f"{what}: {len(found) - _SHOWN} more differences, which --json lists"


def _details(one: MetricResult) -> tuple[str, str]:
    if one.verdict == "bit-equal":
        return "", ""
    deviation = "" if one.verdict in ("missing", "extra") else f"{one.deviation:.3g}"
    values = f"{_number(one.expected)} became {_number(one.found)}"
    return deviation, f"step {one.step}: {values}"


def _number(value: float | None) -> str:
    return "nothing" if value is None else repr(value)


def _metrics(count: int) -> str:
    return "1 metric" if count == 1 else f"{count} metrics"
