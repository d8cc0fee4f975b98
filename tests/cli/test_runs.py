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
from unitrack import ConfigError, Run
from unitrack.plugins.entry_points import EntryPoint
from unitrack.plugins.registry import Plugins
from unitrack.reading import location
from unitrack.system.installation import install_command

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def two_runs(complete_run: Run) -> list[str]:
    """The ids of two runs, oldest first."""
    with unitrack.start_run("newer", project="digits", run_id="newer-1", sinks=["local"], delivery="inline") as run:
        run.log_metrics({f"m{number}": number / 3 for number in range(6)}, step=0)
    metadata = complete_run.path / "metadata.json"
    old = json.loads(metadata.read_text(encoding="utf-8")) | {"start_time_ms": 1_700_000_000_000}
    metadata.write_text(json.dumps(old), encoding="utf-8")
    return ["done-1", "newer-1"]


def test_json_holds_the_runs_newest_first(invoke: Invoke, two_runs: list[str]) -> None:
    shown = json.loads(invoke("runs", "--json").stdout)
    assert [row["run_id"] for row in shown] == two_runs[::-1]
    old = shown[1]
    assert (old["name"], old["project"], old["status"], old["started"]) == ("done", "p", "finished", 1_700_000_000_000)
    assert (old["params"], old["tags"]) == ({"lr": 0.5, "model.depth": 4}, {"kind": "test"})
    assert (old["summary"], old["artifacts"]) == ({"loss": 2.0}, ["notes.txt"])


def test_text_has_a_row_for_each(invoke: Invoke, two_runs: list[str]) -> None:
    header, newer, older = invoke("runs").stdout.splitlines()
    assert header.split() == ["name", "id", "project", "status", "started", "folder", "last", "metrics"]
    assert newer.split()[:4] == ["newer", "newer-1", "digits", "finished"]
    assert "  experiments/newer  " in newer
    assert newer.endswith("m0=0  m1=0.333333  m2=0.666667  m3=1  and 2 more")
    assert older.rstrip().endswith("loss=2")


@pytest.mark.parametrize(
    ("width", "headers"),
    [
        (200, "name id project status started folder last metrics"),
        (60, "name id status last metrics"),
        (40, "name id status started"),
        (20, "name status"),
        (10, "name"),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_whole_cells(
    invoke: Invoke, two_runs: list[str], monkeypatch: pytest.MonkeyPatch, width: int, headers: str
) -> None:
    """One line a run, and no value is cut or broken."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = invoke("runs").stdout.splitlines()
    assert lines[0].split() == headers.split()
    assert [line.split()[0] for line in lines[1:]] == ["newer", "done"]
    assert max(len(line.rstrip()) for line in lines) <= width


def test_there_are_fewer_metrics_before_there_are_none(
    invoke: Invoke, two_runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert invoke("runs").stdout.splitlines()[1].rstrip().endswith("m0=0  m1=0.333333  and 4 more")


def test_a_name_that_is_wider_than_the_terminal_is_whole(
    invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unitrack.start_run("n" * 60, sinks=["local"], delivery="inline").finish()
    monkeypatch.setenv("COLUMNS", "40")
    assert [line.rstrip() for line in invoke("runs").stdout.splitlines()] == ["name", "n" * 60]


def test_limit_keeps_the_newest(invoke: Invoke, two_runs: list[str]) -> None:
    assert [row["run_id"] for row in json.loads(invoke("runs", "-n", 1, "--json").stdout)] == ["newer-1"]


def test_another_location(invoke: Invoke, two_runs: list[str], root: Path) -> None:
    shutil.copytree(root / "experiments" / "newer", root / "elsewhere" / "newer")
    for place in ("elsewhere", "local:elsewhere"):
        assert [row["run_id"] for row in json.loads(invoke("runs", place, "--json").stdout)] == ["newer-1"]


def test_no_runs(invoke: Invoke, root: Path) -> None:
    """Where it looked is said."""
    assert invoke("runs").stdout == f"no runs in {root / 'experiments'} (tracking.root)\n"
    (root / "empty").mkdir()
    assert invoke("runs", "empty").stdout == "no runs in local:empty\n"
    assert json.loads(invoke("runs", "--json").stdout) == []


def test_a_mistake_is_one_line_and_no_traceback(root: Path, call_program: Program) -> None:
    for arguments, words in (
        (("runs", "mlfow:x"), "unknown backend 'mlfow': did you mean 'mlflow'? Installed: local"),
        (("runs", "foo:bar"), "unknown backend 'foo'; installed: local"),
        (("show", "x", "--from", "nope:y"), "can't read 'nope:y': unknown backend 'nope'; installed: local"),
        (("runs", "no/where"), "there is no folder 'no/where'"),
    ):
        result = call_program(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        assert words in result.stderr


def test_show_from_a_location(invoke: Invoke, complete_run: Run, root: Path) -> None:
    """By id and by name; as `show` tells of the same run under the root."""
    shutil.move(root / "experiments", root / "moved")
    for name in ("done", "done-1"):
        shown = json.loads(invoke("show", name, "--from", "local:moved", "--json").stdout)
        assert (shown["run_id"], shown["status"], shown["location"]) == ("done-1", "finished", "local:moved")
        assert shown["folder"] == str(root / "moved" / "done")
        in_short = {"points": 3, "last": 2.0, "last_step": 2, "min": 1.0, "max": 3.0, "first": 3.0, "mean": 2.0}
        in_short |= {"step_of_min": 1, "step_of_max": 0}
        assert shown["metrics"] == {"loss": in_short}
        assert [artifact["file"] for artifact in shown["artifacts"]] == [str(root / "moved/done/artifacts/notes.txt")]
    lines = [line.split() for line in invoke("show", "done", "--from", "moved").stdout.splitlines()]
    assert ["loss", "2", "1", "3", "3", "2", "█▁▅"] in lines


def test_show_names_what_is_near(root: Path, complete_run: Run, call_program: Program) -> None:
    result = call_program("show", "doen", "--from", "experiments")
    assert result.returncode == 2
    assert "there is no run 'doen' in 'local:experiments': did you mean 'done'?" in result.stderr


def test_a_backend_that_is_not_installed_comes_with_its_command(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was asked for, or something that nobody knows."""
    alone = Plugins([EntryPoint("local", "unitrack.local", "unitrack-core", "1")])
    monkeypatch.setattr(location, "installed", lambda: alone)
    command = install_command("unitrack-core[wandb]")
    with pytest.raises(ConfigError) as raised:
        unitrack.runs("wandb:.")
    assert str(raised.value) == f"can't read 'wandb:.': the backend 'wandb' is not installed: run `{command}`"
    with pytest.raises(ConfigError) as raised:
        unitrack.runs("foo:bar")
    assert "unknown backend 'foo'; installed: local; not installed: mlflow (run `pip install" in str(raised.value)
    assert f"wandb (run `{command}`)" in str(raised.value)


def test_a_place_that_cannot_be_read_is_failed_work(root: Path, call_program: Program) -> None:
    """Another argument would not help: exit code 1, not 2."""
    (root / "broken.db").write_bytes(b"no database")
    pytest.importorskip("unitrack_mlflow")
    result = call_program("runs", "mlflow:sqlite:///broken.db")
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: " in result.stderr
    assert call_program("runs", "mlflow:sqlite:///nowhere.db").returncode == 2


def test_filter_order_and_columns(invoke: Invoke, two_runs: list[str], root: Path) -> None:
    options = ("--columns", "name,params.lr,metrics.loss.min,duration", "--json")
    [row] = json.loads(invoke("runs", "--filter", "metrics.loss.min < 2", *options).stdout)
    assert (row["name"], row["params.lr"], row["metrics.loss.min"]) == ("done", 0.5, 1.0)
    lines = invoke("runs", "experiments", "--order-by", "-params.lr", *options[:2]).stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["name", "params.lr", "metrics.loss.min"],
        ["done", "0.5", "1"],
        ["newer", "-", "-"],
    ]
    shown = invoke("runs", "--filter", "name == 'x'").stdout
    assert shown == "no run in local:experiments for which \"name == 'x'\" holds\n"


def test_several_locations(invoke: Invoke, two_runs: list[str], root: Path) -> None:
    shutil.copytree(root / "experiments" / "newer", root / "elsewhere" / "newer")
    rows = json.loads(invoke("runs", "experiments", "else*", "--json").stdout)
    assert [(row["run_id"], row["location"]) for row in rows] == [
        ("newer-1", "local:experiments"),
        ("newer-1", "local:elsewhere"),
        ("done-1", "local:experiments"),
    ]


def test_a_mistake_in_a_filter_is_shown_with_its_place(root: Path, call_program: Program) -> None:
    result = call_program("runs", "--filter", "staus == 'failed'")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "error: unknown field 'staus': did you mean status?",
        "  staus == 'failed'",
        "  ^^^^^",
    ]


def test_watch_draws_until_ctrl_c(invoke: Invoke, two_runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    result = invoke("runs", "--watch", "--columns", "name,status")
    assert result.exit_code == 0 and len(looks) == 2
    assert [line.split() for line in result.stdout.splitlines() if "done" in line] == [["done", "finished"]]
    assert invoke("runs", "--watch", "--json").exit_code == 2


def test_best(invoke: Invoke, two_runs: list[str], call_program: Program) -> None:
    with unitrack.start_run("third", run_id="third-1", sinks=["local"], delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=7)
    rows = json.loads(invoke("best", "loss", "-n", 5, "--json").stdout)
    assert [(row["run_id"], row["best"], row["step"]) for row in rows] == [("third-1", 0.5, 7), ("done-1", 1.0, 1)]
    assert [row["run_id"] for row in json.loads(invoke("best", "loss", "--mode", "max", "--json").stdout)] == ["done-1"]
    header, row = invoke("best", "loss", "experiments", "--filter", "name != 'third'").stdout.splitlines()
    assert header.split() == ["name", "id", "min", "of", "loss", "at", "step", "last", "status"]
    assert row.split() == ["done", "done-1", "1", "1", "2", "finished"]
    result = call_program("best", "lss")
    assert result.returncode == 2 and "has a metric 'lss': did you mean 'loss'?" in result.stderr


def test_a_filter_that_leaves_nothing_names_what_no_run_has(invoke: Invoke, complete_run: Run) -> None:
    result = invoke("runs", "--filter", "params.lrr < 1 or metrics.loss.mn < 1 or tags.kind == 'x'")
    assert result.stderr.splitlines() == [
        "no run has params.lrr: did you mean params.lr?",
        "no run has metrics.loss.mn: did you mean metrics.loss?",
    ]
