"""SQL over stored runs, by DuckDB."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.errors import MissingPackageError, QueryError
from unitrack.reading.frames import points

pytest.importorskip("nanoarrow")
duckdb = pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for number in range(3):
        with unitrack.start_run(f"run{number}", sinks=["local"], root=folder, delivery="inline") as run:
            run.log_params({"lr": 0.1 * (number + 1), "optimizer": "adam"})
            run.set_tags({"team": "nlp"})
            for step in range(10):
                run.log_metrics({"loss": 1 / (step + 1 + number), "acc": step / 10}, step=step)
    return folder


def test_runs_join_their_points(root: Path) -> None:
    found = unitrack.sql(
        """SELECT name, "params.lr" AS lr, min(value) AS least, count(*) AS n FROM runs JOIN points USING (run_id)
        WHERE metric = 'loss' GROUP BY ALL ORDER BY name""",
        root,
    )
    assert found.columns == ("name", "lr", "least", "n")
    assert found.rows == [("run0", 0.1, 0.1, 10), ("run1", 0.2, 1 / 11, 10), ("run2", 0.1 * 3, 1 / 12, 10)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT count(*) FROM runs WHERE status = 'finished' AND started <= ended", [(3,)]),
        ("SELECT DISTINCT name, value, number FROM params WHERE name = 'optimizer'", [("optimizer", "adam", None)]),
        ("SELECT sum(number) > 0.59 FROM params WHERE name = 'lr'", [(True,)]),
        ("SELECT DISTINCT name, value FROM tags", [("team", "nlp")]),
        ("SELECT max(points), min(min), max(last_step) FROM metrics WHERE metric = 'loss'", [(10, 1 / 12, 9)]),
        ("WITH best AS (SELECT * FROM \"Points\" WHERE metric = 'acc') SELECT max(value) FROM best", [(0.9,)]),
        ("SELECT 1 AS one, NULL AS none, [1, 2] AS list, 1.50::DECIMAL(4, 2) AS d", [(1, None, "[1,2]", 1.5)]),
        ("SELECT name FROM runs LIMIT 0", []),
    ],
)
def test_all_tables_can_be_asked(root: Path, query: str, expected: list[Any]) -> None:
    assert unitrack.sql(query, root).rows == expected


def test_columns_of_one_name_are_both_there(root: Path) -> None:
    found = unitrack.sql("SELECT a.name, b.name FROM runs a JOIN runs b USING (run_id) LIMIT 1", root)
    assert found.columns == ("name", "name_1")


def test_names_that_differ_in_case_alone_are_not_mixed_up(tmp_path: Path) -> None:
    with unitrack.start_run("a", sinks=["local"], root=tmp_path, delivery="inline") as run:
        run.log_params({"lr": 1, "LR": 2, 'quo"te': 3})
    assert unitrack.sql('SELECT "params.quo""te" FROM runs', tmp_path).rows == [(3,)]
    assert unitrack.sql("SELECT number FROM params WHERE name = 'lr'", tmp_path).rows == [(1.0,)]
    with pytest.raises(QueryError, match=r'"params\.lr" not found'):
        unitrack.sql('SELECT "params.lr" FROM runs', tmp_path)


def test_only_tables_that_are_named_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("unitrack.reading.sql_query.points_table", fail)
    assert unitrack.sql("SELECT max(points), 'FROM points' FROM metrics -- points", root).rows[0][0] == 10
    assert unitrack.sql("SELECT 1", "mlflow:sqlite:////nowhere").rows == [(1,)]
    with pytest.raises(AssertionError):
        unitrack.sql("SELECT (SELECT count(*) FROM points)", root)


def test_locations_may_be_several_or_runs(root: Path) -> None:
    runs = unitrack.runs(root)
    assert unitrack.sql("SELECT count(*) FROM runs", root, str(root), runs[:1]).rows == [(7,)]
    assert unitrack.sql("SELECT DISTINCT metric FROM points", runs, metrics="l*").rows == [("loss",)]
    assert points.points_table(runs, "loss").rows == runs.history("loss").rows


@pytest.mark.parametrize(
    ("query", "problem", "position"),
    [
        ("selec 1", 'syntax error at or near "selec"', 0),
        ("SELECT nme FROM runs", 'Referenced column "nme" not found', 7),
        ("SELECT * FROM run", "There are runs, params, metrics, tags and points", 14),
        ("", "there is no query", 0),
        ("SELECT name,\n  nope\nFROM runs", 'Referenced column "nope"', 15),
        ("SET enable_external_access = true", "Only SELECT statements are allowed", 0),
        ("COPY (SELECT 1) TO '/tmp/unitrack.csv'", "Only SELECT statements are allowed", 0),
        ("ATTACH 'x.db'", "Only SELECT statements are allowed", 0),
        ("SELECT * FROM read_csv('/etc/passwd')", "file system operations are disabled", 14),
        ("SELECT * FROM '/etc/passwd'", "", 0),
        ("SELECT 1/0::INTEGER, 'x'::INTEGER", "Could not convert string 'x'", None),
    ],
)
def test_bad_sql_is_one_clear_error(root: Path, query: str, problem: str, position: int | None) -> None:
    with pytest.raises(QueryError) as raised:
        unitrack.sql(query, root)
    assert str(raised.value).startswith("bad SQL: ") and problem in str(raised.value)
    if position is not None and problem:
        assert raised.value.position == position


def test_without_duckdb_the_error_names_the_extra(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingPackageError, match=r"SQL needs the package 'duckdb': run `pip install .*\[sql\]"):
        unitrack.sql("SELECT 1", root)
