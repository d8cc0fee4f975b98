"""`unitrack export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import unitrack
from unitrack import ConfigError, Run

Invoke = Callable[..., Result]


def test_runs_of_the_root_by_default(invoke: Invoke, complete_run: Run) -> None:
    result = invoke("export", "--to", "points.csv")
    assert (result.exit_code, result.stdout) == (0, "points.csv: 1 run, 3 points\n")
    lines = Path("points.csv").read_text().splitlines()
    assert [line.split(",")[3:6:2] for line in lines[1:]] == [["loss", "3.0"], ["loss", "1.0"], ["loss", "2.0"]]


def test_json_a_location_and_the_options(invoke: Invoke, complete_run: Run) -> None:
    result = invoke(
        "export",
        "local:experiments",
        "--to",
        "out",
        "--format",
        "jsonl",
        "--metrics",
        "x*",
        "--metrics",
        "lo*",
        "--json",
    )
    assert json.loads(result.stdout) == {"path": "out", "runs": 1, "points": 3, "left_out": []}
    [row] = map(json.loads, Path("out", "runs.jsonl").read_text().splitlines())
    assert (row["name"], row["params.model.depth"], row["tags.kind"]) == ("done", 4, "test")


def test_a_target_that_exists_is_replaced_with_overwrite(invoke: Invoke, complete_run: Run) -> None:
    Path("runs.csv").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        invoke("export", "--to", "runs.csv", "--table", "runs")
    assert Path("runs.csv").read_text() == "mine"
    assert invoke("export", "--to", "runs.csv", "--table", "runs", "--overwrite").exit_code == 0
    assert Path("runs.csv").read_text().startswith("run_id,name,")


def test_an_artifact_that_is_gone_fails_the_command(
    invoke: Invoke, complete_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is exported, and the reason goes to stderr."""
    pytest.importorskip("duckdb", reason="unitrack-core[sql]")

    def fetch(run: object, artifact: object, folder: object) -> None:
        raise unitrack.errors.SourceError("the disk is gone")

    monkeypatch.setattr("unitrack.reading.stored_run.StoredRun.fetch", fetch)
    result = invoke("export", "--to", "nep", "--format", "neptune")
    assert result.exit_code == 1
    assert "left out: " in result.stderr
    assert "the disk is gone" in result.stderr
    assert result.stdout == "nep: 1 run, 3 points\n"


def test_a_filter_chooses_runs(invoke: Invoke, complete_run: Run) -> None:
    with pytest.raises(unitrack.errors.NotFoundError, match="no run to export"):
        invoke("export", "experiments", "--to", "a.csv", "--filter", "params.lr > 0.6")
    assert invoke("export", "experiments", "--to", "a.csv", "--filter", "params.lr > 0.4").stdout.startswith(
        "a.csv: 1 run"
    )
