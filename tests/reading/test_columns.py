"""Histories in columns: what a source's default makes of its records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unitrack.errors import ArtifactStoreError
from unitrack.hookspecs import Source
from unitrack.reading import History, Point
from unitrack.records import AnyRecord, Metrics, RunStart


class Three(Source):
    """A source with three records of points, whose artifacts can't be listed."""

    def __init__(self, location: str) -> None:
        pass

    def runs(self) -> Iterator[RunStart]:
        yield RunStart(seq=0, time=1, run_id="a", name="a", project="")

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        yield from self.runs()
        yield Metrics(seq=1, time=2, step=7, metrics={"loss": 0.5, "acc": 1.0})
        yield Metrics(seq=2, time=3, step=3, metrics={"acc": 2.0}, special={"loss": "nan"})
        raise ArtifactStoreError("no store")


@pytest.mark.parametrize("metrics", [None, ("loss", "acc", "none")])
def test_the_default_columns_hold_every_point_in_order(metrics: tuple[str, ...] | None) -> None:
    columns = Three("").columns("a", metrics)
    assert sorted(columns) == ["acc", "loss"]
    loss = History("loss", columns["loss"])
    assert [repr(point) for point in loss] == [
        "Point(step=7, value=0.5, time=2)",
        "Point(step=3, value=nan, time=3)",
    ]
    assert History("acc", columns["acc"]) == [Point(7, 1.0, 2), Point(3, 2.0, 3)]


def test_the_default_summaries_are_those_of_each_run() -> None:
    [(start, summary)] = Three("").summaries()
    assert (start.run_id, summary.last["acc"], summary.artifacts_error) == ("a", 1.0, "no store")
