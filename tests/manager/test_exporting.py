"""Exported runs, read back with the tools that people have, and whole or not there."""

from __future__ import annotations

import csv
import json
import math
import resource
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import unitrack
from unitrack.errors import ConfigError, InvalidValueError, MissingPackageError, NotFoundError, SourceError
from unitrack.manager.exporting import exporter, neptune, writers
from unitrack.manager.exporting.tables import RunsTable
from unitrack.records import AnyRecord, Artifact, Params
from unitrack.system.installation import install_command

LOSSES = [
    (0, 0.1 + 0.2),
    (2, math.nan),
    (1, math.inf),
    (3, -math.inf),
    (4, -0.0),
    (5, 5e-324),
    (6, 1.7976931348623157e308),
]
PARAMS: dict[str, Any] = {
    "lr": 0.1,
    "model": {"depth": 4, "sizes": [1, 2], "empty": {}},
    "nothing": None,
    "digits": "007",
    "big": 2**62 + 1,
    "flag": True,
    "none like": "null",
    "sys/state": "mine",
}
TEXT = 'a "quoted", text\nof two lines, and ünïcödé'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of unitrack."""
    root = tmp_path_factory.mktemp("store")
    (root / "model.pt").write_bytes(b"weights")
    (root / "checkpoint").mkdir()
    (root / "checkpoint" / "a.txt").write_text("in a folder")
    options: dict[str, Any] = {
        "sinks": ["local"],
        "delivery": "inline",
        "root": root / "runs",
        "project": "team/digits",
    }
    options["config"] = {"safeguards": {"non_finite": "keep"}}
    with unitrack.start_run(
        "first", run_id="one", tags={"team": "nlp", "bare": ""}, description=TEXT, **options
    ) as run:
        run.log_params(PARAMS)
        for step, value in LOSSES:
            run.log_metrics({"loss": value, "val/acc": step / 7}, step=step)
        run.log_artifact(root / "model.pt", "models")
        run.log_artifact(root / "checkpoint")
    with unitrack.start_run("second", run_id="two", **options) as run:
        run.log_params({"lr": "auto"})
        run.log_metrics({"loss": 1.0}, step=7)
        run.finish("failed")
    return root / "runs"


def exact(points: Any) -> list[tuple[int, bytes]]:
    return [(int(step), struct.pack("<d", float(value))) for step, value in points]


FIRST = exact(LOSSES)


# -- CSV and JSON lines: no package but the core -----------------------------------------------------------------------


def test_csv_holds_every_point(store: Path, tmp_path: Path) -> None:
    done = unitrack.export(str(store), to=tmp_path / "points.csv")
    assert (done.runs, done.points, done.left_out) == (2, 15, ())
    with (tmp_path / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["run_id", "run_name", "location", "metric", "step", "value", "time"]
    assert (
        exact((row["step"], row["value"]) for row in rows if (row["run_name"], row["metric"]) == ("first", "loss"))
        == FIRST
    )
    [stored] = [run for run in unitrack.runs(store) if run.id == "two"]
    [last] = [row for row in rows if row["run_id"] == "two"]
    assert (last["run_name"], last["time"][-1]) == ("second", "Z")
    assert round(datetime.fromisoformat(last["time"]).timestamp() * 1000) == stored.history("loss").times[0]


def test_json_lines_hold_every_point(store: Path, tmp_path: Path) -> None:
    """NaN and infinity are text, since JSON has none: `float` reads it."""
    unitrack.export(store, to=tmp_path / "points.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "points.jsonl").read_text().splitlines()]
    assert [row["value"] for row in rows if isinstance(row["value"], str)] == ["nan", "inf", "-inf"]
    assert (
        exact((row["step"], row["value"]) for row in rows if (row["run_name"], row["metric"]) == ("first", "loss"))
        == FIRST
    )


def test_a_table_of_runs(store: Path, tmp_path: Path) -> None:
    unitrack.export(store, to=tmp_path / "runs.jsonl", table="runs")
    rows = {row["name"]: row for row in map(json.loads, (tmp_path / "runs.jsonl").read_text().splitlines())}
    first, second = rows["first"], rows["second"]
    assert {name: first[f"params.{name}"] for name in ("model.depth", "digits", "big", "flag")} == {
        "model.depth": 4,
        "digits": "007",
        "big": 2**62 + 1,
        "flag": True,
    }
    assert (first["params.lr"], second["params.lr"]) == ("0.1", "auto"), "a column of two types is text"
    assert (first["metrics.loss"], first["tags.team"], first["description"]) == (LOSSES[-1][1], "nlp", TEXT)
    assert (second["status"], second["project"], "params.flag" in second) == ("failed", "team/digits", False)


@pytest.mark.parametrize(
    ("values", "kind", "written"),
    [
        ([1, 2], "BIGINT", [1, 2]),
        ([1, 0.5], "DOUBLE", [1, 0.5]),
        ([1, 2**53 + 1, 0.5], "VARCHAR", ["1", "9007199254740993", "0.5"]),
        (["0.1", 0.5, None, "nan"], "DOUBLE", [0.1, 0.5, None, "nan"]),
        (["007", "1"], "VARCHAR", ["007", "1"]),
        ([True, 1], "VARCHAR", ["true", "1"]),
        ([True, False], "BOOLEAN", [True, False]),
        ([[1, 2], "x"], "VARCHAR", ["[1,2]", "x"]),
        ([None], "VARCHAR", [None]),
    ],
)
def test_a_column_has_one_type_and_loses_no_digit(values: list[Any], kind: str, written: list[Any]) -> None:
    """Text that is a number is one where another run has a number."""
    table = RunsTable([], lambda name: True)
    table.rows = [{"params.x": value} for value in values]
    assert table.columns()["params.x"] == kind
    assert [row["params.x"] for row in table.typed_rows()] == written


def test_a_folder_gets_both_tables(store: Path, tmp_path: Path) -> None:
    unitrack.export(store, to=tmp_path / "out", format="csv", metrics=["val/*"])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["points.csv", "runs.csv"]
    with (tmp_path / "out" / "points.csv").open(newline="") as file:
        assert {row["metric"] for row in csv.DictReader(file)} == {"val/acc"}
    with (tmp_path / "out" / "runs.csv").open(newline="") as file:
        [first] = [row for row in csv.DictReader(file) if row["name"] == "first"]
    assert (first["description"], first["params.model.sizes"], first["params.flag"]) == (TEXT, "[1,2]", "true")
    assert "metrics.loss" not in first


def test_one_run_and_a_list_of_runs(store: Path, tmp_path: Path) -> None:
    found = unitrack.runs(store)
    assert unitrack.export(found.find("second"), to=tmp_path / "a.csv").points == 1
    assert unitrack.export(found[:1], to=tmp_path / "b.csv").runs == 1


# -- Parquet -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two tables, in a folder."""
    pytest.importorskip("duckdb", reason="Parquet is written by DuckDB: unitrack-core[sql]")
    folder = tmp_path_factory.mktemp("tables") / "it's out"
    unitrack.export(store, to=folder)
    return folder


def test_duckdb_reads_parquet(tables: Path) -> None:
    import duckdb

    with duckdb.connect() as connection:
        query = "SELECT step, value FROM read_parquet(?) WHERE run_id = 'one' AND metric = 'loss'"
        assert exact(connection.execute(query, [str(tables / "points.parquet")]).fetchall()) == FIRST
        query = 'SELECT "params.big", "params.flag", "params.digits" FROM read_parquet(?) WHERE run_id = \'one\''
        assert connection.execute(query, [str(tables / "runs.parquet")]).fetchall() == [(2**62 + 1, True, "007")]


def test_pandas_reads_parquet(store: Path, tables: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="not in the core's environment")
    pytest.importorskip("pyarrow", reason="pandas reads Parquet with it")
    points = pandas.read_parquet(tables / "points.parquet")
    first = points[(points.run_name == "first") & (points.metric == "loss")]
    assert exact(zip(first.step, first.value, strict=True)) == FIRST
    [stored] = [run for run in unitrack.runs(store) if run.id == "one"]
    assert [round(time.timestamp() * 1000) for time in first.time] == list(stored.history("loss").times)
    runs = pandas.read_parquet(tables / "runs.parquet").set_index("run_id")
    assert runs.loc["one", "description"] == TEXT


def test_polars_reads_parquet(tables: Path) -> None:
    polars = pytest.importorskip("polars", reason="not in the core's environment")
    points = polars.read_parquet(tables / "points.parquet")
    first = points.filter((polars.col("run_name") == "first") & (polars.col("metric") == "loss"))
    assert exact(first.select("step", "value").rows()) == FIRST


def test_names_that_differ_in_case_are_two_columns(root: Path) -> None:
    """In DuckDB they would be one."""
    duckdb = pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    with unitrack.start_run("a", sinks=["local"], delivery="inline") as run:
        run.log_params({"lr": 1, "LR": 2, 'it\'s "odd"': 3})
    unitrack.export("experiments", to="runs.parquet", table="runs")
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM 'runs.parquet'")
        row = dict(zip([column[0] for column in found.description], found.fetchone(), strict=True))
    assert sorted(row[f"params.{name}"] for name in ("lr_1", "LR", 'it\'s "odd"')) == [1, 2, 3]


def test_without_duckdb_its_command_is_named(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(writers.importlib.sys.modules, "duckdb", None)
    with pytest.raises(MissingPackageError) as missing:
        unitrack.export(store, to=tmp_path / "points.parquet")
    assert install_command("unitrack-core[sql]") in str(missing.value)
    assert list(tmp_path.iterdir()) == []


# -- neptune-exporter --------------------------------------------------------------------------------------------------


def comparable(run: Any, folder: Path) -> list[AnyRecord]:
    """A run's records but for params and the places of files, in an order of kinds, files with their content."""
    found: list[Any] = []
    for record in run.records():
        if isinstance(record, Artifact):
            content = run.fetch(record, folder)
            text = content.read_text() if content.is_file() else str(sorted(path.name for path in content.iterdir()))
            found.append(msgspec.structs.replace(record, seq=0, file=text))
        elif not isinstance(record, Params):
            found.append(msgspec.structs.replace(record, seq=0))
    return sorted(found, key=lambda record: type(record).__name__)


def test_neptune_and_back(store: Path, tmp_path: Path) -> None:
    """Whatever a run of unitrack is, it is the same again."""
    pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    done = unitrack.export(store, to=tmp_path / "nep", format="neptune")
    assert (done.runs, done.points, done.left_out) == (2, 15, ())
    again = {run.id: run for run in unitrack.runs(f"neptune-export:{tmp_path / 'nep'}")}
    for run in unitrack.runs(store):
        copy = again.pop(run.id)
        for what in ("name", "project", "description", "started", "ended", "status", "params", "tags", "unitrack_id"):
            assert getattr(copy, what) == getattr(run, what), what
        assert repr(copy.summary) == repr(run.summary)
        assert comparable(copy, tmp_path / "b") == comparable(run, tmp_path / "a")
    assert not again


def test_parts_are_read_in_order(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    monkeypatch.setattr(neptune, "ROWS_OF_A_PART", 4)
    unitrack.export(unitrack.runs(store).find("first"), to=tmp_path / "nep", format="neptune")
    assert len(list(tmp_path.glob("nep/data/*/*_part_*.parquet"))) > 10
    [run] = unitrack.runs(f"neptune-export:{tmp_path / 'nep'}")
    assert exact((point.step, point.value) for point in run.history("loss")) == FIRST


def test_a_step_that_neptune_has_no_room_for_is_refused(root: Path) -> None:
    pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    with unitrack.start_run("far", sinks=["local"], delivery="inline") as run:
        run.log_metrics({"loss": 1.0}, step=10**12)
    with pytest.raises(InvalidValueError, match="run 'far' has a point at step 1000000000000"):
        unitrack.export("experiments", to="nep", format="neptune")
    assert not Path("nep").exists()


def test_an_artifact_that_is_gone_is_named(root: Path) -> None:
    pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    with unitrack.start_run("a", sinks=["local"], delivery="inline") as run:
        run.log_text("x", "note.txt")
    stored = unitrack.runs("experiments")[0]
    assert stored.artifacts
    (run.path / "artifacts" / "note.txt").unlink()
    done = unitrack.export(stored, to="nep", format="neptune")
    [problem] = done.left_out
    assert "'note.txt' of run 'a'" in problem


# -- the target --------------------------------------------------------------------------------------------------------


def test_what_is_there_is_not_replaced_unless_asked(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "points.csv"
    target.write_text("mine")
    with pytest.raises(ConfigError, match="exists: give another target"):
        unitrack.export(store, to=target)
    assert target.read_text() == "mine"
    unitrack.export(store, to=target, overwrite=True)
    assert target.read_text().startswith("run_id,")


def test_a_folder_of_something_else_is_never_replaced(store: Path, tmp_path: Path) -> None:
    """Whatever is asked."""
    unitrack.export(store, to=tmp_path / "out", format="csv")
    unitrack.export(store, to=tmp_path / "out", format="jsonl", overwrite=True)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["points.jsonl", "runs.jsonl"]
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds 'thesis\.tex', which no export has written"):
        unitrack.export(store, to=tmp_path / "out", format="csv", overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("to", ["points.csv", "folder"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SourceError], ids=lambda error: error.__name__)
def test_nothing_is_half_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, error: type[BaseException]
) -> None:
    """Neither on Ctrl-C nor on an error in the middle; what was there stays."""
    real = exporter.points_of

    def fails(run: Any, admit: Any) -> Iterator[Any]:
        yield from real(run, admit)
        raise error("in the middle")

    unitrack.export(store, to=tmp_path / to, format="csv")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(exporter, "points_of", fails)
    with pytest.raises(error):
        unitrack.export(store, to=tmp_path / to, format="csv", overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == [to]


@pytest.mark.parametrize("to", ["points.csv", "points.parquet"])
def test_a_disk_that_is_full_leaves_nothing(store: Path, tmp_path: Path, to: str) -> None:
    if to.endswith("parquet"):
        pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ConfigError, match=rf"can't write '.*{to}': File too large; make room, or"):
            unitrack.export(store, to=tmp_path / to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"to": "a.cvs"}, r"'a\.cvs' has no ending of a table: give a file that ends in \.parquet, \.csv or \.jsonl"),
        ({"to": "."}, "is the working directory: give a folder in it, or a file"),
        ({"to": "a", "format": "cvs"}, "unknown format 'cvs': did you mean 'csv'"),
        ({"to": "a.csv", "format": "jsonl"}, "would be a file of the format csv, not jsonl: give a folder, or a file"),
        ({"to": "a.csv", "format": "neptune"}, "would be a file of the format csv, not neptune: give a folder"),
        ({"to": "a.csv", "table": "run"}, "unknown table 'run': did you mean 'runs'"),
        ({"to": "/proc/nothing/a.csv"}, "can't write to '/proc/nothing'"),
    ],
)
def test_a_wrong_target_is_explained(store: Path, root: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        unitrack.export(store, **options)
    assert list(root.iterdir()) == []


def test_nothing_to_export_is_an_error(root: Path) -> None:
    Path("empty").mkdir()
    with pytest.raises(NotFoundError, match="there is no run to export"):
        unitrack.export("empty", to="a.csv")
    with pytest.raises(SourceError, match="there is no folder 'nowhere'"):
        unitrack.export("nowhere", to="a.csv")
    assert not Path("a.csv").exists()


def test_a_run_that_is_given_twice_is_refused(store: Path, tmp_path: Path) -> None:
    """A run of the same id in another location is another run, but not in neptune-exporter's files."""
    found = list(unitrack.runs(store))
    with pytest.raises(ConfigError, match=r"the run '(one|two)' in 'local:.*' is given twice"):
        unitrack.export([*found, *unitrack.runs(store)], to=tmp_path / "a.csv")
    others = list(unitrack.runs(store / ".." / "runs"))
    assert unitrack.export([*found, *others], to=tmp_path / "a.csv").runs == 4
    pytest.importorskip("duckdb", reason="unitrack-core[sql]")
    with pytest.raises(ConfigError, match="two of the runs of project 'team/digits' have the id"):
        unitrack.export([*found, *others], to=tmp_path / "nep", format="neptune")
    assert not (tmp_path / "nep").exists()


def test_a_filter_chooses_runs(store: Path, tmp_path: Path) -> None:
    assert unitrack.export(store, to=tmp_path / "a.csv", filter="status == 'failed'").points == 1
    assert unitrack.export([str(store)], to=tmp_path / "b.csv", filter="params.lr < 1").points == 14
    with pytest.raises(NotFoundError, match=r"there is no run to export in .* for which \"name == 'x'\" holds"):
        unitrack.export(store, to=tmp_path / "c.csv", filter="name == 'x'")
    with pytest.raises(unitrack.QueryError):
        unitrack.export(store, to=tmp_path / "c.csv", filter="params.lr <")
    with pytest.raises(ConfigError, match=r"give it to `unitrack\.runs`"):
        unitrack.export(unitrack.runs(store), to=tmp_path / "c.csv", filter="params.lr < 1")
    assert not (tmp_path / "c.csv").exists()


def test_progress_is_shown(store: Path, tmp_path: Path) -> None:
    shown: list[Any] = []
    unitrack.export(store, to=tmp_path / "a.csv", show=shown.append)
    assert [one.runs for one in shown] == [1, 2]
    assert shown[-1].points == 15
