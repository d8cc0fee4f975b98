"""`unitrack sql`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from unitrack import Run
from unitrack.cli import USAGE_ERROR
from unitrack.errors import QueryError

Invoke = Callable[..., Result]

pytest.importorskip("nanoarrow")
pytest.importorskip("duckdb")


def test_the_result_is_printed_as_a_table_json_or_csv(complete_run: Run, invoke: Invoke) -> None:
    query = "SELECT name, count(*) AS n FROM runs JOIN points USING (run_id) GROUP BY name"
    name = complete_run.path.name
    [row] = json.loads(invoke("sql", query, complete_run.path, "--json").stdout)
    assert row["name"] == name and row["n"] > 0
    assert invoke("sql", query, complete_run.path, "--csv").stdout.splitlines() == ["name,n", f"{name},{row['n']}"]
    assert invoke("sql", query).stdout.split() == ["name", "n", name, str(row["n"])]
    assert invoke("sql", "SELECT count(*) AS n FROM points", "-m", "*").stdout.split() == ["n", str(row["n"])]


def test_bad_sql_and_options_that_exclude_each_other_are_explained(complete_run: Run, invoke: Invoke) -> None:
    with pytest.raises(QueryError, match='Referenced column "nme" not found'):
        invoke("sql", "SELECT nme FROM runs", complete_run.path)
    shown = invoke("sql", "SELECT 1", "--json", "--csv")
    assert shown.exit_code == USAGE_ERROR and "--json and --csv exclude each other" in shown.stderr
