"""Runs and points as tables, read by pandas, Polars, pyarrow and DuckDB where these are installed."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError, MissingPackageError, NotFoundError
from unitrack.reading import Runs
from unitrack.reading.frames import Column, RepeatedText, Table, column_of, points_table, runs_table


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Three runs: "a" and "b" with several kinds of params, and "empty" without anything."""
    root = tmp_path_factory.mktemp("runs")
    options: dict[str, Any] = {"sinks": ["local"], "root": root, "delivery": "inline"}
    with unitrack.start_run("a", **options) as run:
        run.log_params({"lr": 0.1, "depth": 4, "mixed": 1, "flag": True, "list": [1, 2]})
        run.set_tags({"team": "nlp"})
        for step in range(50):
            run.log_metrics({"loss": 1 / (step + 1), "val/acc": step / 50}, step=step)
    with unitrack.start_run("b", **options) as run:
        run.log_params({"lr": 1, "depth": 2**40, "mixed": "é"})
        run.log_metrics({"loss": 0.25, "val/f1": 0.5}, step=7)
    with unitrack.start_run("empty", **options):
        pass
    return unitrack.runs(root)


def by_name(runs: Runs) -> list[Any]:
    return sorted(runs, key=lambda run: run.name)


def test_the_runs_are_rows_of_typed_columns(stored: Runs) -> None:
    table = runs_table(by_name(stored))
    assert table.columns[:7] == ("run_id", "name", "project", "status", "started", "ended", "location")
    assert table["name"] == ["a", "b", "empty"] and table["status"] == ["finished"] * 3
    assert table["params.lr"] == [0.1, 1.0, None] and table["params.depth"] == [4, 2**40, None]
    assert table["params.mixed"] == ["1", "é", None] and table["params.list"] == ["[1,2]", None, None]
    assert table["metrics.loss"] == [0.02, 0.25, None] and table["tags.team"] == ["nlp", None, None]
    [started, *_] = table["started"]
    assert started.tzinfo is UTC and abs((datetime.now(UTC) - started).total_seconds()) < 600
    assert len(table) == 3 and len(table.rows[0]) == len(table.columns)


def test_a_history_of_many_runs_holds_every_point(stored: Runs) -> None:
    table = stored.history(["loss", "val/*"])
    assert table.columns == ("run_id", "run_name", "location", "metric", "step", "value", "time")
    expected = [
        (run.id, run.name, str(run.location), name, step, value, time)
        for run in stored
        for name, history in run.histories().items()
        for step, value, time in history
    ]
    assert [(*row[:6], round(row[6].timestamp() * 1000)) for row in table] == expected
    assert len(table) == 102 and "sampled_from" not in table.columns and "sampled" not in repr(table)
    assert stored.history("val/*")["metric"] == ["val/f1"] + ["val/acc"] * 50
    assert stored.history().rows == table.rows
    assert len(stored.history([])) == 0


def test_a_sample_is_taken_only_if_asked_for_and_says_so(stored: Runs) -> None:
    table = points_table(by_name(stored), "loss", sample=5)
    assert table["step"] == [0, 12, 24, 36, 49, 7] and table["value"][4] == 1 / 50
    assert table["sampled_from"] == [50] * 5 + [1]
    assert repr(table).endswith("6 rows; sampled: at most 5 points of each curve")


@pytest.mark.parametrize("sample", [1, 0, -3, 2.5, True, "5"])
def test_a_sample_of_no_size_is_refused(stored: Runs, sample: Any) -> None:
    with pytest.raises(InvalidValueError, match="sample must be an integer of at least 2, not"):
        stored.history("loss", sample=sample)


def test_a_metric_that_no_run_has_is_named(stored: Runs) -> None:
    with pytest.raises(NotFoundError, match="no run has a metric 'los': did you mean 'loss'"):
        stored.history(["loss", "los"])
    with pytest.raises(NotFoundError, match=r"no run has a metric 'zzz\*': they have loss, val/acc, val/f1"):
        stored.history("zzz*")
    with pytest.raises(InvalidTypeError, match="the name of a metric must be a str, not int: 3"):
        stored.history([3])  # type: ignore[list-item]


def test_pandas_takes_runs_and_points(stored: Runs) -> None:
    pytest.importorskip("pandas")
    runs = stored.to_pandas().set_index("name")
    assert str(runs["started"].dtype) == "datetime64[ms, UTC]"
    assert runs.loc["a", "started"].to_pydatetime() == runs_table(stored)["started"][2]
    assert runs["params.lr"].dtype == "float64" and math.isnan(runs.loc["empty", "params.lr"])
    assert str(runs["params.depth"].dtype) == "Int64" and runs.loc["b", "params.depth"] == 2**40
    assert str(runs["params.flag"].dtype) == "boolean" and runs.loc["a", "params.mixed"] == "1"
    points = stored.history(["loss", "val/*"]).to_pandas()
    assert [str(points[name].dtype) for name in ("step", "value", "time")] == [
        "int64",
        "float64",
        "datetime64[ms, UTC]",
    ]
    assert dict(points.groupby("metric", observed=True).size()) == {"loss": 51, "val/acc": 50, "val/f1": 1}
    assert points[points["run_name"] == "b"]["value"].tolist() == [0.25, 0.5]
    assert len(stored.history([]).to_pandas()) == 0


def test_polars_takes_runs_and_points(stored: Runs) -> None:
    polars = pytest.importorskip("polars")
    pytest.importorskip("nanoarrow")
    runs = stored.to_polars().sort("name")
    assert runs.rows() == runs_table(by_name(stored)).rows
    assert runs.schema["started"] == polars.Datetime("ms", "UTC") and runs.schema["params.depth"] == polars.Int64
    table = stored.history(["loss", "val/*"])
    assert table.to_polars().rows() == table.rows
    assert table.to_polars().rows() == table.rows  # a stream can be taken twice


def test_pyarrow_takes_runs_and_points(stored: Runs) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("nanoarrow")
    for source, table in ((stored, runs_table(stored)), (stored.history(), stored.history())):
        taken = pyarrow.table(source)
        taken.validate(full=True)
        assert [tuple(row.values()) for row in taken.to_pylist()] == table.rows


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 2], "int", [1, None, 2]),
        ([1, 2.5], "float", [1.0, 2.5]),
        ([2**53 + 1, 2.5], "text", ["9007199254740993", "2.5"]),
        ([2**70, 1], "text", [str(2**70), "1"]),
        ([True, 1], "text", ["true", "1"]),
        ([True, None], "bool", [True, None]),
        ([None, None], "text", [None, None]),
        ([Decimal("1.5"), None], "float", [1.5, None]),
        ([{"a": [1]}, "x"], "text", ['{"a":[1]}', "x"]),
        ([object], "text", ["<class 'object'>"]),
    ],
)
def test_mixed_values_lose_nothing(values: list[Any], kind: str, expected: list[Any]) -> None:
    column = column_of(values)
    assert (column.kind, list(column.values)) == (kind, expected)


@pytest.mark.parametrize("length", [0, 1, 8, 9, 1000])
def test_all_kinds_arrive_with_their_gaps(length: int) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("nanoarrow")
    gaps: dict[str, Any] = {
        "int": Column("int", [None if i % 3 else i - 5 for i in range(length)]),
        "float": Column("float", [None if i % 4 else i / 3 for i in range(length)]),
        "bool": Column("bool", [None if i % 5 == 2 else i % 2 == 0 for i in range(length)]),
        "text": Column("text", [None if i % 7 == 1 else "é" * (i % 4) for i in range(length)]),
        "time": Column("time", [None if i % 2 else i for i in range(length)]),
        "repeated": Column("text", RepeatedText(["x", "", "yé"], [length, 0, 0])),
    }
    table = Table(gaps)
    taken = pyarrow.table(table)
    taken.validate(full=True)
    assert [tuple(row.values()) for row in taken.to_pylist()] == table.rows


def test_repeated_text_is_a_sequence() -> None:
    texts = RepeatedText(["a", "", "b"], [2, 1, 3])
    assert list(texts) == ["a", "a", "", "b", "b", "b"] == texts[:] == [texts[i] for i in range(6)]
    assert texts[-1] == "b" and texts[1:4] == ["a", "", "b"]
    with pytest.raises(IndexError):
        texts[6]


def test_a_table_prints_its_first_rows_and_the_columns_that_fit(stored: Runs) -> None:
    printed = repr(stored.history("loss"))
    assert printed.endswith("51 rows, the first 20") and len(printed.splitlines()) == 22
    wide = Table({f"column{i}": Column("text", ["<b>" * 5]) for i in range(20)})
    assert repr(wide).endswith("1 row, 11 more columns")
    assert wide._repr_html_().count("&lt;b&gt;") == 100 and "<b>1 row</b>" in wide._repr_html_()


def test_missing_packages_are_named_with_their_command(stored: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pandas", "polars", "nanoarrow"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match="needs the package 'pandas': run `pip install pandas`"):
        stored.to_pandas()
    with pytest.raises(MissingPackageError, match="needs the package 'polars'"):
        stored.history("loss").to_polars()
    with pytest.raises(MissingPackageError, match=r"'nanoarrow': run `pip install .*\[frames\]"):
        stored.__arrow_c_stream__()


def test_a_run_shows_its_environment_and_prints_the_rest(tmp_path: Path) -> None:
    with unitrack.start_run("a", sinks=["local"], root=tmp_path, delivery="inline") as run:
        run.log_params({"lr": 0.5, "platform.name": "x"})
        run.log_metrics({"loss": 0.25}, step=1)
        run.log_environment()
    [stored] = unitrack.runs(tmp_path)
    assert stored.environment["python_version"] == sys.version and "pytest" in stored.environment["packages"]
    assert "lr" not in stored.environment
    assert str(stored).splitlines()[1:] == ["params", "  lr  0.5", "  platform.name  x", "metrics", "  loss  0.25"]
    assert "<td>lr</td><td>0.5</td>" in stored._repr_html_() and "packages." not in stored._repr_html_()
    link = stored.links["local"]
    assert unitrack.runs(f"local:{link.location}").find(link.id).id == stored.id


def test_a_run_without_an_environment_or_ledgers_has_none(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"run_name": "x"}')
    (tmp_path / "params.json").write_text('{"platform": "web"}')
    [stored] = unitrack.runs(tmp_path)
    assert stored.environment == {} and stored.links == {} and "  platform  web" in str(stored)
    (tmp_path / ".unitrack").mkdir()
    (tmp_path / ".unitrack" / "x.ledger.json").write_text('{"link": {"id": 3}}')
    assert stored.links == {}
