"""`unitrack.runs` over several locations: filtered, ordered, and the best of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import unitrack
from unitrack.errors import ConfigError, MissingLocationError, NotFoundError, QueryError, SourceError
from unitrack.hookspecs import Backend, Columns, Condition, RunSummary, Source, columns_of
from unitrack.plugins.registry import with_backend
from unitrack.records import AnyRecord, Metrics, RunStart


def write_run(folder: Path, started: int, params: object = None, **curves: Sequence[float]) -> None:
    """Write a run that has ended, in the layout of local files."""
    folder.mkdir(parents=True)
    metadata = {"run_id": f"id-{folder.name}", "run_name": folder.name, "start_time_ms": started, "status": "finished"}
    (folder / "metadata.json").write_text(json.dumps(metadata | {"end_time_ms": started + 5000}), encoding="utf-8")
    (folder / "params.json").write_text(json.dumps(params or {}), encoding="utf-8")
    lines = [
        json.dumps({"step": step, "metrics": {name: value}})
        for name, values in curves.items()
        for step, value in enumerate(values)
    ]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def two_locations(root: Path) -> None:
    """Runs a, b and c, from the oldest to the newest, in two folders."""
    write_run(root / "one" / "a", 1000, {"lr": 0.1, "opt": "sgd"}, loss=[3, 1, 2], acc=[0.5, 0.9])
    write_run(root / "one" / "c", 3000, {"lr": "0.001"}, loss=[4, 0.5, 4])
    write_run(root / "two" / "b", 2000, {"lr": 0.01}, acc=[0.7], other=[1])


def names(*locations: object, **options: object) -> list[str]:
    return [run.name for run in unitrack.runs(*locations, **options)]  # type: ignore[arg-type]


@pytest.mark.usefixtures("two_locations")
def test_several_locations_are_one_list_newest_first(root: Path) -> None:
    for locations in (("one", "two"), (["one", Path("two")],), ("local:one", "local:t*"), ("[ot][nw][eo]",)):
        assert names(*locations) == ["c", "b", "a"]
    assert names("one", "one") == ["c", "a"]
    assert names("one", "two", limit=2) == ["c", "b"]
    with pytest.raises(MissingLocationError, match="nothing matches 'local:x\\*'"):
        unitrack.runs("one", "x*")
    with pytest.raises(ConfigError, match="limit is a number of runs, got -1"):
        unitrack.runs("one", limit=-1)


@pytest.mark.usefixtures("two_locations")
def test_filter() -> None:
    assert names("one", "two", filter="params.lr < 0.05") == ["c", "b"]
    assert names("one", "two", filter="metrics.loss.min < 0.8 or not has(metrics.loss)") == ["c", "b"]
    assert names("one", "two", filter="location ~ 'one$' and metrics.loss.step_of_min == 1") == ["c", "a"]
    found = unitrack.runs("one", "two").filter("params.lr < 0.05")
    assert [run.name for run in found] == ["c", "b"]
    assert [run.name for run in found.filter("has(metrics.acc)")] == ["b"]
    with pytest.raises(QueryError, match=r"did you mean params\.lr"):
        unitrack.runs("one", filter="parms.lr < 1")


@pytest.mark.usefixtures("two_locations")
def test_order() -> None:
    assert names("one", "two", order_by="params.lr") == ["c", "b", "a"]
    assert names("one", "two", order_by="-metrics.acc.max") == ["a", "b", "c"], "missing last"
    assert names("one", "two", order_by="metrics.acc.max") == ["b", "a", "c"], "missing last, either way"
    assert names("one", "two", order_by=["status", "-name"], limit=2) == ["c", "b"]


@pytest.mark.usefixtures("two_locations")
def test_best_is_the_best_value_reached() -> None:
    found = unitrack.runs("one", "two")
    assert found.best("loss").name == "c"
    assert found.best("loss", mode="max").name == "c"
    assert found.best("acc").name == "a", "greatest, by its name"
    assert [run.name for run in found.ranked("acc", "min")] == ["a", "b"]
    with pytest.raises(NotFoundError, match=r"no run in .* has a metric 'los': did you mean 'loss'"):
        found.best("los")
    with pytest.raises(ConfigError, match="'min' or 'max', got 'up'"):
        found.best("loss", "up")  # type: ignore[arg-type]


def test_best_goes_by_what_define_metric_chose(root: Path) -> None:
    for name, value in (("x", 1.0), ("y", 2.0)):
        with unitrack.start_run(name, sinks=["local"], delivery="inline") as run:
            run.define_metric("points", summary="max")
            run.log_metrics({"points": value}, step=0)
    assert unitrack.runs().best("points").name == "y"


@pytest.mark.usefixtures("two_locations")
def test_find_looks_in_all_locations(root: Path) -> None:
    found = unitrack.runs("one", "two")
    assert [found.find(name).id for name in ("b", "id-b", "a")] == ["id-b", "id-b", "id-a"]
    write_run(root / "three" / "b", 9000)
    twice = unitrack.runs("two", "three")
    with pytest.raises(NotFoundError, match="2 runs in 'local:two', 'local:three' have the id 'id-b'"):
        twice.find("id-b")
    with pytest.raises(NotFoundError, match="there is no run 'id-a' in 'local:one'"):
        unitrack.runs("one", filter="name == 'c'").find("id-a")


@pytest.mark.usefixtures("two_locations")
def test_a_list_of_runs_shows_itself_as_a_table(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    title, header, *rows = repr(unitrack.runs("one", "two")).splitlines()
    assert title == "3 runs in local:one, local:two"
    assert header.split() == ["name", "id", "status", "started", "last", "metrics"]
    assert [row.split()[0] for row in rows] == ["c", "b", "a"]
    assert rows[0].endswith("loss=4")
    assert "<td>loss=4</td>" in unitrack.runs("one", "two")._repr_html_()
    for number in range(30):
        write_run(root / "many" / f"run{number}", number)
    lines = repr(unitrack.runs("many")).splitlines()
    assert lines[0] == "30 runs in local:many, the first 20" and len(lines) == 22
    monkeypatch.setenv("COLUMNS", "30")
    assert max(map(len, repr(unitrack.runs("many")).splitlines()[1:])) <= 30


class ServerSource(Source):
    """A server with two runs, which has no statistics at hand, and counts what it is asked."""

    asked: list[str]

    def __init__(self, location: str) -> None:
        self._location = location
        type(self).asked = []

    def runs(self) -> Iterator[RunStart]:
        for run_id in ("a", "b"):
            yield RunStart(seq=0, time=1, run_id=run_id, name=run_id, project="")

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        self.asked.append(f"records {run_id}")
        yield RunStart(seq=0, time=1, run_id=run_id, name=run_id, project="")

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        self.asked.append(f"summaries {len(conditions)}")
        for start in self.runs():
            yield start, RunSummary(last={"loss": 1.0, "acc": 2.0}, params={"lr": start.run_id})
            if self._location == "half":
                raise ConnectionResetError("gone")

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        self.asked.append(f"columns {run_id} {sorted(metrics or ())}")
        values = {"a": (3.0, 1.0), "b": (0.5, 1.0)}[run_id]
        return columns_of(
            Metrics(seq=0, time=0, step=step, metrics=dict.fromkeys(metrics or (), value))
            for step, value in enumerate(values)
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backend `server`."""
    import sys

    monkeypatch.setitem(sys.modules, "server_source", sys.modules[__name__])
    with with_backend(Backend(name="server", summary="x", sink="x:Y", source="server_source:ServerSource")):
        yield


@pytest.mark.usefixtures("server")
def test_a_backend_is_asked_once_and_points_are_read_only_where_a_query_needs_them() -> None:
    assert names("server:x", filter="metrics.loss < 2") == ["a", "b"]
    assert ServerSource.asked == ["summaries 1"]
    assert names("server:x", filter="params.lr == 'b' and metrics.loss.min < 2") == ["b"]
    assert ServerSource.asked == ["summaries 2", "columns b ['loss']"]
    assert names("server:x", order_by="metrics.loss.min") == ["b", "a"]
    assert unitrack.runs("server:x").best("loss").id == "b"
    assert ServerSource.asked == ["summaries 0", "columns a ['loss']", "columns b ['loss']"]
    assert [run.params["lr"] for run in unitrack.runs("server:x").read_summaries()] == ["a", "b"]
    assert ServerSource.asked == ["summaries 0"]


@pytest.mark.usefixtures("server")
def test_a_backend_that_goes_down_in_the_middle_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match="can't read 'server:half': gone"):
        len(unitrack.runs("server:x", "server:half", filter="status == 'running'"))
    assert "gone" in repr(unitrack.runs("server:half", order_by="name"))
