"""`Source`: what a source gets without writing it, and what is said of a class that is none."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.errors import ArtifactStoreError, NotFoundError, SourceError
from unitrack.hookspecs import Backend, RunSummary, Source
from unitrack.plugins.registry import with_backend
from unitrack.reading import Point, StoredRun
from unitrack.reading.guard import GuardedSource
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, Tags

START = RunStart(seq=0, time=1, run_id="a", name="first", project="p", tags={"team": "nlp", "stage": "draft"})
POINTS = [
    Metrics(seq=2, time=3, step=0, metrics={"loss": 0.5, "acc": 0.25}),
    Metrics(seq=3, time=4, step=2, metrics={"acc": 0.75}, special={"loss": "nan"}),
    Metrics(seq=4, time=5, step=1, metrics={"loss": 0.25}),
]
FILE = Artifact(seq=6, time=6, name="model.pt", file="memory:model.pt", size=7)
RECORDS: list[AnyRecord] = [
    START,
    Params(seq=1, time=2, params={"lr": 0.1, "model": {"depth": 4}}),
    *POINTS,
    Tags(seq=5, time=6, tags={"stage": "final"}),
    FILE,
    RunEnd(seq=7, time=8, status="failed"),
]


class Smallest(Source):
    """All that a third party has to write."""

    def __init__(self, location: str) -> None:
        self._location = location

    def runs(self) -> Iterator[RunStart]:
        yield START

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        if run_id != START.run_id:
            raise KeyError(run_id)
        yield from RECORDS
        if self._location == "no-files":
            raise ArtifactStoreError("the bucket is closed")


class Incomplete(Source):
    """A source that forgot `records`."""

    def __init__(self, location: str) -> None: ...

    def runs(self) -> Iterator[RunStart]:
        yield START


class Unrelated:
    """A class that looks like a source and is none."""

    def __init__(self, location: str) -> None: ...

    def runs(self) -> Iterator[RunStart]:
        yield START

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        yield from RECORDS


@pytest.fixture(autouse=True)
def third_parties(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Backends of which this module is the plugin."""
    module: Any = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "third_parties", module)
    with contextlib.ExitStack() as stack:
        for one in (Smallest, Incomplete, Unrelated):
            source = f"third_parties:{one.__name__}"
            stack.enter_context(with_backend(Backend(name=one.__name__, summary="", sink="x:Y", source=source)))
        yield


@pytest.fixture
def run() -> StoredRun:
    """The run of the smallest source."""
    return unitrack.runs("Smallest:here").find("a")


def test_runs_and_records_are_enough(run: StoredRun, tmp_path: Path) -> None:
    """All that a reader offers is built on the two: params, tags, metrics, histories, artifacts, status."""
    assert dict(run.params) == {"lr": 0.1, "model.depth": 4}
    assert dict(run.tags) == {"team": "nlp", "stage": "final"}
    assert (run.status, run.ended, run.folder) == ("failed", 8, None)
    assert run.history("acc") == [Point(0, 0.25, 3), Point(2, 0.75, 4)]
    assert [repr(point.value) for point in run.history("loss")] == ["0.5", "nan", "0.25"]
    assert run.summary["acc"] == 0.75 and math.isnan(run.summary["loss"])
    loss = run.metrics["loss"]
    assert (loss.points, loss.first, loss.min, loss.max, loss.last_step) == (3, 0.5, 0.25, 0.5, 2)
    assert run.artifacts == (FILE,)
    with pytest.raises(NotFoundError, match="no metric 'los': did you mean 'loss'"):
        run.history("los")
    with pytest.raises(SourceError, match=r"'model\.pt' is not on this machine"):
        run.fetch("model.pt", tmp_path)


def test_a_default_reads_the_records_once(run: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default summary is whole, so nothing is read again for metrics or artifacts."""
    read: list[str] = []
    records = Smallest.records

    def counted(self: Smallest, run_id: str) -> Iterator[AnyRecord]:
        read.append(run_id)
        return records(self, run_id)

    monkeypatch.setattr(Smallest, "records", counted)
    assert (run.status, len(run.metrics), len(run.artifacts)) == ("failed", 2, 1)
    assert read == ["a"]


def test_a_method_that_a_source_does_not_know_comes_with_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may add one: a source that was written before has it, built on what it has."""

    def count(self: Source, run_id: str) -> int:
        return sum(isinstance(record, Metrics) for record in self.records(run_id))

    monkeypatch.setattr(Source, "count_points", count, raising=False)
    source: Any = Smallest("here")
    assert source.count_points("a") == 3


def test_history_has_the_points_that_were_asked_for_and_no_others() -> None:
    source = Smallest("here")
    assert list(source.history("a", ["loss", "acc"])) == POINTS
    assert [record.values() for record in source.history("a", ["acc", "none"])] == [{"acc": 0.25}, {"acc": 0.75}]
    assert list(source.history("a", [])) == []


def test_a_run_that_is_not_there(run: StoredRun) -> None:
    """Each method says so at the call or at the first record."""
    source = Smallest("here")
    with pytest.raises(KeyError):
        source.summary("b")
    with pytest.raises(KeyError):
        next(source.history("b", ["loss"]))
    gone = StoredRun(GuardedSource(run.location), START, key="b")
    with pytest.raises(NotFoundError, match="there is no run 'b'"):
        gone.history("loss")
    with pytest.raises(NotFoundError, match="there is no run 'b'"):
        _ = gone.status


def test_artifacts_that_cannot_be_listed_cost_nothing_else(tmp_path: Path) -> None:
    """Everything before them is there; the error comes where they are asked for."""
    run = unitrack.runs("Smallest:no-files").find("a")
    assert (run.status, len(run.metrics), len(run.history("loss"))) == ("failed", 2, 3)
    with pytest.raises(SourceError, match="the bucket is closed"):
        _ = run.artifacts
    with pytest.raises(SourceError, match="the bucket is closed"):
        run.fetch("model.pt", tmp_path)


def test_what_is_no_source_is_named() -> None:
    with pytest.raises(SourceError, match=r"can't read 'Incomplete:x': .*abstract .*records"):
        unitrack.runs("Incomplete:x")
    with pytest.raises(SourceError, match=r"third_parties:Unrelated does not derive from `unitrack\.hookspecs"):
        unitrack.runs("Unrelated:x")


def test_a_source_that_fails_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is one of unitrack, also where the method is no generator."""

    def fail(self: Source) -> Iterator[RunStart]:
        raise ConnectionResetError("gone")

    monkeypatch.setattr(Smallest, "runs", fail)
    with pytest.raises(SourceError, match="can't read 'Smallest:here': gone"):
        list(unitrack.runs("Smallest:here"))


@pytest.mark.parametrize("records", [[], RECORDS[1:]], ids=["none", "no start"])
def test_records_without_a_start(monkeypatch: pytest.MonkeyPatch, records: list[AnyRecord]) -> None:
    monkeypatch.setattr(Smallest, "records", lambda self, run_id: iter(records))
    with pytest.raises(SourceError, match="run 'a' of 'Smallest:here': its records begin without a RunStart"):
        unitrack.runs("Smallest:here").find("a")


def test_a_summary_without_metrics_is_completed_from_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a backend which has last values at hand, and no more."""
    brief = RunSummary(params={"lr": 0.1}, last={"loss": 0.5}, status="finished", ended=9)
    monkeypatch.setattr(Smallest, "summary", lambda self, run_id: brief)
    run = unitrack.runs("Smallest:here").find("a")
    assert (run.status, run.summary) == ("finished", {"loss": 0.5})
    assert run.metrics["acc"].points == 2
    assert run.artifacts == (FILE,)
