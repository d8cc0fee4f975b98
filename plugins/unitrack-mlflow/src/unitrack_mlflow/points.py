"""Redelivery to MLflow's file store, which would append each point again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

Point = tuple[int, int, str]


class AppendedPoints:
    """Which points a file store has beyond those that were committed: they may come again, and count once.

    `committed` is how many points of each key the last committed checkpoint spoke for. A database needs none of
    this: there the point itself is the key of its row.
    """

    def __init__(self, client: MlflowClient, run: Run, committed: Mapping[str, int]) -> None:
        self._client = client
        self._run_id = run.info.run_id
        self._present = set(run.data.metrics)
        self._committed = dict(committed)
        self._lines: dict[str, int] = {}
        self._uncommitted: dict[str, Counter[Point]] = {}

    def missing(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Return those of `metrics` that the store does not have."""
        return [metric for metric in metrics if not self._is_there(metric)]

    def added(self, metrics: Sequence[Metric]) -> None:
        """Count the points that were appended."""
        for metric in metrics:
            self._lines[metric.key] += 1

    def counts(self) -> dict[str, int]:
        """For the checkpoint: how many points of each key need not be looked at again."""
        done = {key: count for key, count in self._lines.items() if not self._uncommitted[key]}
        return self._committed | done

    def _is_there(self, metric: Metric) -> bool:
        if metric.key not in self._lines:
            self._read(metric.key)
        left = self._uncommitted[metric.key]
        point = _point(metric)
        if not left[point]:
            left.pop(point, None)
            return False
        left[point] -= 1
        if not left[point]:
            del left[point]
        return True

    def _read(self, key: str) -> None:
        history = self._client.get_metric_history(self._run_id, key) if key in self._present else []
        self._lines[key] = len(history)
        self._uncommitted[key] = Counter(map(_point, history[self._committed.get(key, 0) :]))


def _point(metric: Metric) -> Point:
    return metric.timestamp, metric.step, repr(float(metric.value))  # a text, since NaN is not equal to itself
