"""`unitrack runs`, and `unitrack show --from`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import unitrack
from unitrack import Run

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def two_runs(complete_run: Run) -> list[str]:
    """The ids of two runs, oldest first."""
    with unitrack.start_run("newer", run_id="newer-1", sinks=["local"], delivery="inline") as run:
        run.log_metrics({f"m{number}": number / 3 for number in range(6)}, step=0)
    metadata = complete_run.path / "metadata.json"
    old = json.loads(metadata.read_text(encoding="utf-8")) | {"start_time_ms": 1_700_000_000_000}
    metadata.write_text(json.dumps(old), encoding="utf-8")
    return ["done-1", "newer-1"]


def test_json_holds_the_runs_newest_first(invoke: Invoke, two_runs: list[str]) -> None:
    shown = json.loads(invoke("runs", "--json").stdout)
    assert [row["id"] for row in shown] == two_runs[::-1]
    old = shown[1]
    assert (old["name"], old["project"], old["status"], old["started"]) == ("done", "p", "finished", 1_700_000_000_000)
    assert (old["params"], old["tags"]) == ({"lr": 0.5, "model.depth": 4}, {"kind": "test"})
    assert (old["summary"], old["artifacts"]) == ({"loss": 2.0}, ["notes.txt"])


def test_text_has_a_row_for_each(invoke: Invoke, two_runs: list[str]) -> None:
    header, newer, older = invoke("runs").stdout.splitlines()
    assert header.split() == ["name", "id", "status", "started", "last", "metrics"]
    assert newer.startswith("newer  newer-1  finished")
    assert newer.endswith("m0=0  m1=0.333333  m2=0.666667  m3=1  and 2 more")
    assert older.rstrip().endswith("loss=2")


def test_limit_keeps_the_newest(invoke: Invoke, two_runs: list[str]) -> None:
    assert [row["id"] for row in json.loads(invoke("runs", "-n", 1, "--json").stdout)] == ["newer-1"]


def test_another_location(invoke: Invoke, two_runs: list[str], root: Path) -> None:
    shutil.copytree(root / "experiments" / "newer", root / "elsewhere" / "newer")
    for location in ("elsewhere", "local:elsewhere"):
        assert [row["id"] for row in json.loads(invoke("runs", location, "--json").stdout)] == ["newer-1"]


def test_no_runs(invoke: Invoke, root: Path) -> None:
    assert "no runs in local:" in invoke("runs").stdout
    assert json.loads(invoke("runs", "--json").stdout) == []


def test_a_mistake_is_one_line_and_no_traceback(root: Path, call_program: Program) -> None:
    for location, words in (("mlfow:x", "did you mean 'mlflow'?"), ("no/where", "there is no folder 'no/where'")):
        result = call_program("runs", location)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        assert words in result.stderr


def test_show_from_a_location(invoke: Invoke, complete_run: Run, root: Path) -> None:
    """By id and by name; as `show` tells of the same run under the root."""
    shutil.move(root / "experiments", root / "moved")
    for name in ("done", "done-1"):
        shown = json.loads(invoke("show", name, "--from", "local:moved", "--json").stdout)
        assert (shown["run_id"], shown["status"], shown["path"]) == ("done-1", "finished", "local:moved")
        assert shown["metrics"] == {"loss": {"points": 3, "last": 2.0, "last_step": 2, "min": 1.0, "max": 3.0}}
        assert [artifact["file"] for artifact in shown["artifacts"]] == [str(root / "moved/done/artifacts/notes.txt")]
    lines = [line.split() for line in invoke("show", "done", "--from", "moved").stdout.splitlines()]
    assert ["loss", "2", "1", "3", "3", "2"] in lines


def test_show_names_what_is_near(root: Path, complete_run: Run, call_program: Program) -> None:
    result = call_program("show", "doen", "--from", "experiments")
    assert result.returncode == 2
    assert "there is no run 'doen' in 'local:experiments': did you mean 'done'?" in result.stderr
