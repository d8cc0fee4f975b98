"""The points of one run: rows with a number each, in the order of delivery, and a summary of each metric.

The number makes a redelivery the same rows. What came after a checkpoint is removed when the run is opened with it, and
a point that was withdrawn says by which number, so that this is undone as well.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, text

from unitrack.hookspecs import Columns, MetricSummary
from unitrack.records import Metrics
from unitrack_sql.names import restored, stored
from unitrack_sql.store import Fence, Store
from unitrack_sql.summaries import SUMMARY, summary_columns, summary_of_row
from unitrack_sql.upserts import Upsert

_POINTS = Upsert("unitrack_points", keys=("metric", "number"), values=("step", "value", "time"))
_METRICS = Upsert("unitrack_metrics", keys=("metric",), values=("name", "up_to", *SUMMARY))

_KNOWN = text(f"SELECT metric, name, up_to, {', '.join(SUMMARY)} FROM unitrack_metrics WHERE run_key = :run_key")
_OF_METRIC = text(
    "SELECT step, value, time FROM unitrack_points "
    "WHERE run_key = :run_key AND metric = :metric AND withdrawn IS NULL ORDER BY number"
)
_NEWER = text("DELETE FROM unitrack_points WHERE run_key = :run_key AND metric IN :metrics AND number >= :number")
_WITHDRAWN_SINCE = text("SELECT DISTINCT metric FROM unitrack_points WHERE run_key = :run_key AND withdrawn >= :number")
_TAKE_BACK = text("UPDATE unitrack_points SET withdrawn = NULL WHERE run_key = :run_key AND withdrawn >= :number")
_FORGET = text("DELETE FROM unitrack_points WHERE run_key = :run_key AND withdrawn < :number")
_WITHDRAW = text(
    "UPDATE unitrack_points SET withdrawn = :number "
    "WHERE run_key = :run_key AND metric = :metric AND step >= :step AND withdrawn IS NULL AND number < :number"
)
_AT_ONCE = 500
"""Metrics in one statement: an SQLite before 3.32 takes 999 parameters."""


class Points:
    """What the sink knows of a run's points: the number of the next one, and each metric with its summary."""

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence
        self.next = 0
        """The number of the next point. A rewind takes a number as well."""
        self._metrics: dict[str, int] = {}
        self._summaries: list[MetricSummary] = []

    def go_back(self, number: int) -> None:
        """Leave the points before `number`, as they were then."""
        run = {"run_key": self._fence.run_key, "number": number}
        rows = self._store.ask(lambda connection: connection.execute(_KNOWN, run).all())
        self._metrics = {restored(row.name): row.metric for row in rows}
        self._summaries = [MetricSummary() for _ in rows]
        for row in rows:
            self._summaries[row.metric] = summary_of_row(row)
        changed = {row.metric for row in rows if row.up_to > number}
        since = self._store.ask(lambda connection: connection.execute(_WITHDRAWN_SINCE, run).all())
        changed |= {row.metric for row in since}
        metrics = sorted(self._metrics.values())
        for first in range(0, len(metrics), _AT_ONCE):
            those = metrics[first : first + _AT_ONCE]
            self._change(_NEWER.bindparams(bindparam("metrics", expanding=True)), {**run, "metrics": those})
        self._change(_TAKE_BACK, run)
        self._change(_FORGET, run)
        self.next = number
        self._sum_up_again(changed)

    def add(self, records: Iterable[Metrics]) -> None:
        """Write points. Calling it again with the same records after a failure writes the same rows."""
        number, known = self.next, dict(self._metrics)
        metrics, numbers, steps, times = array("q"), array("q"), array("q"), array("q")
        values: list[float] = []
        summaries: dict[int, MetricSummary] = {}
        for record in records:
            step, time = record.step, record.time
            for name, value in record.values().items():
                metric = known.get(name)
                if metric is None:
                    metric = known[name] = len(known)
                summary = summaries.get(metric)
                if summary is None:
                    summary = summaries[metric] = self._copy(metric)
                summary.add(step, value)
                metrics.append(metric)
                numbers.append(number)
                steps.append(step)
                values.append(value)
                times.append(time)
                number += 1
        rows: dict[str, Sequence[Any]] = {
            "metric": metrics,
            "number": numbers,
            "step": steps,
            "value": values,
            "time": times,
        }
        self._store.write(
            self._upsert(_METRICS, self._metric_rows(summaries, known, number)), self._upsert(_POINTS, rows)
        )
        self._metrics, self.next = known, number
        self._keep(summaries)

    def rewind(self, steps: Mapping[str, int]) -> None:
        """Withdraw the points of each of these metrics from its step on."""
        changed = set()
        for name, step in steps.items():
            if (metric := self._metrics.get(name)) is not None:
                run = {"run_key": self._fence.run_key, "metric": metric, "step": step, "number": self.next}
                self._change(_WITHDRAW, run)
                changed.add(metric)
        self.next += 1
        self._sum_up_again(changed)

    def _sum_up_again(self, metrics: Iterable[int]) -> None:
        """Write the summaries of these metrics as their points are now."""
        summaries = {metric: MetricSummary.of(self._columns(metric)) for metric in metrics}
        rows = self._metric_rows(summaries, self._metrics, self.next)
        self._store.write(self._upsert(_METRICS, rows))
        self._keep(summaries)

    def _columns(self, metric: int) -> Columns:
        run = {"run_key": self._fence.run_key, "metric": metric}
        return columns_of_rows(self._store.ask(lambda connection: connection.execute(_OF_METRIC, run).all()))

    def _metric_rows(
        self, summaries: Mapping[int, MetricSummary], known: Mapping[str, int], number: int
    ) -> dict[str, Sequence[Any]]:
        names = {metric: name for name, metric in known.items() if metric in summaries}
        return {
            "metric": list(summaries),
            "name": [stored(names[metric]) for metric in summaries],
            "up_to": [number] * len(summaries),
            **summary_columns(summaries.values()),
        }

    def _upsert(self, upsert: Upsert, rows: Mapping[str, Sequence[Any]]) -> Any:
        return upsert.of(rows, self._fence, is_postgresql=self._store.is_postgresql)

    def _change(self, statement: Any, values: Mapping[str, Any]) -> None:
        def change(connection: Connection) -> None:
            connection.execute(statement, dict(values))

        self._store.write(change)

    def _copy(self, metric: int) -> MetricSummary:
        known = self._summaries[metric] if metric < len(self._summaries) else MetricSummary()
        return msgspec.structs.replace(known)

    def _keep(self, summaries: Mapping[int, MetricSummary]) -> None:
        for metric in sorted(summaries):
            if metric < len(self._summaries):
                self._summaries[metric] = summaries[metric]
            else:
                self._summaries.append(summaries[metric])


def columns_of_rows(rows: Sequence[Any]) -> Columns:
    """Return rows of step, value and time as columns. SQLite holds NaN as NULL."""
    nan = float("nan")
    steps, values, times = zip(*rows, strict=True) if rows else ((), (), ())
    return Columns(
        steps=memoryview(array("q", steps)),
        values=memoryview(array("d", [nan if value is None else value for value in values])),
        times=memoryview(array("q", times)),
    )
