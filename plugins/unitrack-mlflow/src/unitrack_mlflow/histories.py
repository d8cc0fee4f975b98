"""The metric histories of a run, merged into records in order of time."""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

from unitrack.records import Metrics
from unitrack_mlflow import marks
from unitrack_mlflow.keys import names_of


class Point(NamedTuple):
    """One value of one metric, named as it was logged."""

    time: int
    step: int
    name: str
    value: float


def metrics_of(client: MlflowClient, run: Run, count: Iterator[int]) -> Iterator[Metrics]:
    """The points of all metrics of `run`; those of one time and step make one record.

    MLflow gives a history by metric only, so all are held at once, in 24 bytes a point.
    """
    histories = [_history(client, run.info.run_id, *series) for series in _series(run)]
    group: dict[str, float] = {}
    at = (0, 0)
    for point in heapq.merge(*histories, key=lambda point: (point.time, point.step)):
        here = (point.time, point.step)
        if group and (here != at or point.name in group):
            yield _record(next(count), at, group)
            group = {}
        at = here
        group[point.name] = point.value
    if group:
        yield _record(next(count), at, group)


def latest_of(client: MlflowClient, run: Run) -> dict[str, float]:
    """The value of each metric at its highest step. Histories are read of those metrics only that had infinite points,
    which MLflow holds as a metric of its own.
    """
    series = list(_series(run))
    infinite = {name for _, name, is_infinite in series if is_infinite}
    latest = {name: run.data.metrics[key] for key, name, _ in series if name not in infinite}
    for wanted in infinite:
        histories = [_history(client, run.info.run_id, *one) for one in series if one[1] == wanted]
        points = heapq.merge(*histories, key=lambda point: (point.time, point.step))
        latest[wanted] = max(enumerate(points), key=lambda counted: (counted[1].step, counted[0]))[1].value
    return latest


def _series(run: Run) -> Iterator[tuple[str, str, bool]]:
    """MLflow's metrics: key, the name that was logged, and whether it holds that one's points at infinity."""
    is_ours = marks.RUN_ID in run.data.tags
    name_of = names_of("metric", run.data.tags, is_ours=is_ours)
    for key in sorted(run.data.metrics):
        is_infinite = is_ours and key.startswith(marks.INFINITY)
        yield key, name_of(key).removeprefix(marks.INFINITY) if is_infinite else name_of(key), is_infinite


def _history(client: MlflowClient, run_id: str, key: str, name: str, is_infinite: bool) -> Iterator[Point]:
    times, steps, values = array("q"), array("q"), array("d")
    for metric in client.get_metric_history(run_id, key):
        times.append(metric.timestamp)
        steps.append(metric.step)
        values.append(math.copysign(math.inf, metric.value) if is_infinite else metric.value)
    return (Point(time, step, name, value) for time, step, value in zip(times, steps, values, strict=True))


def _record(seq: int, at: tuple[int, int], values: dict[str, float]) -> Metrics:
    return Metrics(seq=seq, time=at[0], step=at[1], metrics={}).with_values(values)
