"""The metric histories of a run: in columns, as MLflow gives them, and merged into records in order of time."""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Collection, Iterator
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

from unitrack.hookspecs import Columns
from unitrack.records import Metrics
from unitrack_mlflow import marks
from unitrack_mlflow.names import names_of


class Series(NamedTuple):
    """One metric as MLflow holds it."""

    key: str
    name: str
    """As it was logged."""
    is_infinite: bool
    """Whether it holds that one's points at infinity."""


def columns_of(client: MlflowClient, run: Run, wanted: Collection[str] | None = None) -> dict[str, Columns]:
    """Return the points of all metrics of `run`, or of those `wanted`: one request of MLflow's a metric, or a few."""
    found: dict[str, list[Columns]] = {}
    for series in series_of(run):
        if wanted is None or series.name in wanted:
            found.setdefault(series.name, []).append(_columns(client, run.info.run_id, series))
    return {name: parts[0] if len(parts) == 1 else _merged(parts) for name, parts in found.items()}


def metrics_of(
    client: MlflowClient, run: Run, count: Iterator[int], wanted: Collection[str] | None = None
) -> Iterator[Metrics]:
    """Yield the points of all metrics of `run`, or of those `wanted`; those of one time and step make one record.

    MLflow gives a history by metric only, so all are held at once, in 24 bytes a point.
    """
    columns = columns_of(client, run, wanted)
    if len(columns) == 1:
        [(name, only)] = columns.items()
        for time, step, value in zip(only.times, only.steps, only.values, strict=True):
            yield _record(next(count), (time, step), {name: value})
        return
    points = (zip(one.times, one.steps, (name,) * len(one), one.values, strict=True) for name, one in columns.items())
    group: dict[str, float] = {}
    at = (0, 0)
    for time, step, name, value in heapq.merge(*points, key=lambda point: (point[0], point[1])):
        here = (time, step)
        if group and (here != at or name in group):
            yield _record(next(count), at, group)
            group = {}
        at = here
        group[name] = value
    if group:
        yield _record(next(count), at, group)


def latest_of(client: MlflowClient, run: Run) -> dict[str, float]:
    """The value of each metric at its highest step. Histories are read of those metrics only that had infinite points,
    which MLflow holds as a metric of its own.
    """
    all_series = list(series_of(run))
    infinite = {series.name for series in all_series if series.is_infinite}
    latest = {series.name: run.data.metrics[series.key] for series in all_series if series.name not in infinite}
    for name, columns in columns_of(client, run, infinite).items() if infinite else ():
        latest[name] = max(zip(columns.steps, range(len(columns)), columns.values, strict=True))[2]
    return latest


def series_of(run: Run) -> Iterator[Series]:
    """Yield MLflow's metrics."""
    is_ours = marks.RUN_ID in run.data.tags
    name_of = names_of("metric", run.data.tags, is_ours=is_ours)
    for key in sorted(run.data.metrics):
        is_infinite = is_ours and key.startswith(marks.INFINITY)
        yield Series(key, name_of(key).removeprefix(marks.INFINITY) if is_infinite else name_of(key), is_infinite)


def _columns(client: MlflowClient, run_id: str, series: Series) -> Columns:
    history = client.get_metric_history(run_id, series.key)
    values = [metric.value for metric in history]
    if series.is_infinite:
        values = [math.copysign(math.inf, value) for value in values]
    return Columns(
        steps=memoryview(array("q", [metric.step for metric in history])),
        values=memoryview(array("d", values)),
        times=memoryview(array("q", [metric.timestamp for metric in history])),
    )


def _merged(parts: list[Columns]) -> Columns:
    """Return the points of one metric that MLflow holds as several, by time and step."""
    points = [point for part in parts for point in zip(part.times, part.steps, part.values, strict=True)]
    points.sort(key=lambda point: (point[0], point[1]))
    return Columns(
        steps=memoryview(array("q", [step for _, step, _ in points])),
        values=memoryview(array("d", [value for _, _, value in points])),
        times=memoryview(array("q", [time for time, _, _ in points])),
    )


def _record(seq: int, at: tuple[int, int], values: dict[str, float]) -> Metrics:
    return Metrics(seq=seq, time=at[0], step=at[1], metrics={}).with_values(values)
