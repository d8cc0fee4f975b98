"""Steps that are no whole numbers, which Neptune has and unitrack has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from unitrack.records import DEFINITION_PREFIX, MetricDefinition

AXIS = "neptune/step"
"""The metric that holds the exact steps of a run, on which its metrics with such steps are shown."""
MILLIONTHS = 10**6
"""Steps come in millionths, of which neptune-exporter keeps six digits."""


class Axis:
    """The exact steps of those metrics of a run that have fractional ones, in order.

    Such a metric has the place of a step in that order as its step, 0, 1, 2 ..., the same for all of them; the metric
    `neptune/step` holds the exact one at each, and the tag of a metric's definition says that it is its x-axis.
    """

    def __init__(self, metrics: Iterable[str], steps: Iterable[int]) -> None:
        """`steps` are those of all these metrics, in millionths."""
        self.metrics = frozenset(metrics)
        self._places = {step: place for place, step in enumerate(sorted(set(steps)))}

    def place(self, metric: str, step: int) -> int:
        """Return the step of a point as unitrack has it, given the exact one in millionths."""
        return self._places[step] if metric in self.metrics else step // MILLIONTHS

    @property
    def points(self) -> list[tuple[int, float]]:
        """The points of `neptune/step`."""
        return [(place, step / MILLIONTHS) for step, place in self._places.items()]

    @property
    def tags(self) -> Mapping[str, str]:
        """The definitions of the metrics."""
        definition = msgspec.json.encode(MetricDefinition(step_metric=AXIS)).decode()
        return {f"{DEFINITION_PREFIX}{metric}": definition for metric in sorted(self.metrics)}
