"""`unitrack.runs`: local files, ours and others', and what is wrong with a location."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.errors import NotFoundError, SourceError
from unitrack.hookspecs import Backend, Source
from unitrack.plugins.registry import with_backend
from unitrack.reading import Point
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart


@pytest.fixture
def run(root: Path) -> unitrack.Run:
    """A run that has arrived in local files, its steps out of order."""
    with unitrack.start_run(
        "done",
        run_id="done-1",
        project="p",
        tags={"kind": "test"},
        sinks=["local"],
        delivery="inline",
        description="a run to read",
        config={"safeguards": {"non_finite": "keep"}},
    ) as run:
        run.log_params({"lr": 0.5, "model": {"depth": 4}})
        for step, loss in ((0, 0.1 + 0.2), (5, 1e-300), (3, math.inf)):
            run.log_metrics({"loss": loss, "acc": 0.5}, step=step)
        run.log_text("hello", "notes.txt")
    return run


def test_a_run_has_all_that_was_logged(run: unitrack.Run) -> None:
    """Under the configured root, which a location that is left out means."""
    [found] = unitrack.runs()
    assert (found.id, found.name, found.project, found.description) == ("done-1", "done", "p", "a run to read")
    assert (found.status, found.params, found.tags) == ("finished", {"lr": 0.5, "model.depth": 4}, {"kind": "test"})
    assert found.summary == {"loss": 1e-300, "acc": 0.5}
    assert found.ended is not None and found.ended // 1000 >= found.started // 1000
    [artifact] = found.artifacts
    assert (artifact.name, artifact.size) == ("notes.txt", 5)
    assert Path(artifact.file).is_absolute()
    assert Path(artifact.file).read_text(encoding="utf-8") == "hello"


def test_history_is_exact_and_in_the_order_of_logging(run: unitrack.Run) -> None:
    points = unitrack.runs(run.path).find("done-1").history("loss")
    assert [(step, value) for step, value, _ in points] == [(0, 0.1 + 0.2), (5, 1e-300), (3, math.inf)]
    assert all(type(point) is Point and point.time >= run_started(run) for point in points)


def run_started(run: unitrack.Run) -> int:
    return unitrack.runs(run.path).find(run.id).started


def test_records_are_those_of_the_journal(run: unitrack.Run) -> None:
    kinds = [type(record) for record in unitrack.runs().find("done").records()]
    assert kinds == [RunStart, Params, Metrics, Metrics, Metrics, Artifact, RunEnd]


@pytest.mark.parametrize(
    "location", ["local:experiments", "experiments", Path("experiments"), "local:experiments/done"]
)
def test_ways_to_name_local_runs(run: unitrack.Run, location: str | Path) -> None:
    assert [found.id for found in unitrack.runs(location)] == ["done-1"]


def test_a_folder_may_look_like_a_location(run: unitrack.Run, root: Path) -> None:
    shutil.copytree(run.path.parent, root / "old:runs")
    shutil.copytree(run.path.parent, root / "local:runs")
    assert [found.id for found in unitrack.runs("old:runs")] == ["done-1"]
    assert [found.id for found in unitrack.runs("./local:runs")] == ["done-1"]


def test_each_run_is_found_by_its_id_its_folder_and_its_name(run: unitrack.Run) -> None:
    """Two of one name are told apart by what is theirs."""
    with unitrack.start_run("done", run_id="done-2", sinks=["local"], delivery="inline") as second:
        second.log_metrics({"loss": 7.0}, step=0)
    found = unitrack.runs()
    assert found.find("done-2").summary == {"loss": 7.0}
    assert found.find("done-1").summary["loss"] == 1e-300
    with unitrack.start_run("other", run_id="other-1", sinks=["local"], delivery="inline"):
        pass
    assert found.find("other").id == "other-1"


def test_a_copied_folder_is_a_run_of_its_own(run: unitrack.Run) -> None:
    """It has the same id in its metadata, and goes by its folder's name."""
    copy = run.path.with_name("z-copy")
    shutil.copytree(run.path, copy)
    (copy / "metrics.jsonl").write_text('{"step": 0, "metrics": {"loss": 4.0}}\n', encoding="utf-8")
    found = list(unitrack.runs())
    assert [one.id for one in found] == ["done-1", "z-copy"]
    assert [one.summary["loss"] for one in found] == [1e-300, 4.0]
    assert unitrack.runs().find("z-copy").summary == {"loss": 4.0}


def test_a_name_of_several_runs_asks_for_an_id(root: Path) -> None:
    for number in (1, 2):
        folder = root / f"run{number}"
        folder.mkdir()
        (folder / "metadata.json").write_text(json.dumps({"run_name": "same", "run_id": f"id-{number}"}))
    with pytest.raises(NotFoundError, match=r"2 runs in .* are called 'same'; give an id: id-1, id-2"):
        unitrack.runs(root).find("same")


def test_a_run_that_unitrack_did_not_write(root: Path) -> None:
    """Only step and metrics: no times of points, steps that are missing, a torn last line."""
    folder = root / "theirs"
    folder.mkdir()
    metadata = {"run_name": "old", "start_time": "20250102_030405", "status": "completed"}
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "params.json").write_text('{"lr": 0.1}', encoding="utf-8")
    lines = ['{"step": null, "metrics": {"loss": 0.5}}', '{"step": 9, "metrics": {"loss": 0.25}}', '{"step": 10, "me']
    (folder / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    [found] = unitrack.runs(root)
    assert (found.id, found.name, found.status, found.params) == ("theirs", "old", "finished", {"lr": 0.1})
    assert found.history("loss") == [Point(0, 0.5, found.started), Point(9, 0.25, found.started)]


def test_a_run_that_goes_on_has_no_end(root: Path) -> None:
    run = unitrack.start_run("open", sinks=["local"], delivery="inline")
    run.log_metrics({"loss": 1.0}, step=0)
    run.flush()
    [found] = unitrack.runs()
    assert (found.status, found.ended, found.summary) == ("running", None, {"loss": 1.0})
    run.log_metrics({"loss": 2.0}, step=1)
    run.finish()
    assert found.summary == {"loss": 1.0}, "what was read stays"
    assert len(found.history("loss")) == 2, "a history is read anew"
    [anew] = unitrack.runs()
    assert (anew.status, anew.summary) == ("finished", {"loss": 2.0})


def test_no_runs_yet(root: Path) -> None:
    """The configured root is made by the first run, and not by looking for runs."""
    assert list(unitrack.runs()) == []
    assert list(root.iterdir()) == []


def test_what_is_not_there_is_named(run: unitrack.Run) -> None:
    found = unitrack.runs()
    with pytest.raises(NotFoundError, match=r"there is no run 'dnoe' .*did you mean 'done'"):
        found.find("dnoe")
    with pytest.raises(NotFoundError, match="'done' has no metric 'lss': did you mean 'loss'"):
        found.find("done").history("lss")
    with pytest.raises(SourceError, match="there is no folder 'no/where'"):
        unitrack.runs("no/where")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (
            "mlfow:sqlite:///x.db",
            "'mlfow:sqlite:///x.db': unknown backend 'mlfow': did you mean 'mlflow'. Installed: loc",
        ),
        ("probe:x", "the plugin of 'probe' only writes"),
        ("local:", "names no place: write `local:` and a place after it"),
    ],
)
def test_a_location_that_cannot_be_read_says_why(root: Path, location: str, words: str) -> None:
    with pytest.raises(unitrack.ConfigError, match=words):
        unitrack.runs(location)


class FailingSource(Source):
    """A reader whose server goes away."""

    def __init__(self, location: str) -> None:
        if location == "closed":
            raise PermissionError("the door is closed")
        self._location = location

    def runs(self) -> Iterator[RunStart]:
        yield RunStart(seq=0, time=1, run_id="a", name="a", project="")
        if self._location == "half":
            raise ConnectionResetError("gone")

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        yield RunStart(seq=0, time=1, run_id=run_id, name=run_id, project="")
        yield Metrics(seq=1, time=1, step=0, metrics={"loss": 1.0})
        raise KeyError("a bug of the reader's, not a run that is missing")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backend `failing`."""
    module: Any = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "failing_source", module)
    backend = Backend(name="failing", summary="fails", sink="x:Y", source="failing_source:FailingSource")
    with with_backend(backend):
        yield


@pytest.mark.usefixtures("failing")
def test_a_reader_that_fails_is_an_error_of_ours_with_its_words() -> None:
    with pytest.raises(SourceError, match="can't read 'failing:closed': the door is closed"):
        unitrack.runs("failing:closed")
    with pytest.raises(SourceError, match="can't read 'failing:half': gone"):
        list(unitrack.runs("failing:half"))
    [run] = unitrack.runs("failing:x")
    with pytest.raises(SourceError, match="a bug of the reader's"):
        run.history("loss")


@pytest.mark.usefixtures("failing")
def test_listing_reads_no_records() -> None:
    """Who a run is is known without them; this source fails once they are read."""
    [run] = unitrack.runs("failing:x")
    assert (run.id, run.started) == ("a", 1)
    with pytest.raises(SourceError):
        _ = run.status
