"""`unitrack show`."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from unitrack import DeliveryWarning, Run, start_run
from unitrack.errors import NotFoundError

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]


def test_json_holds_the_run(invoke: Invoke, complete_run: Run) -> None:
    shown = json.loads(invoke("show", "done-1", "--json").stdout)
    assert (shown["name"], shown["project"], shown["status"]) == ("done", "p", "finished")
    assert shown["params"] == {"lr": 0.5, "model.depth": 4}
    assert shown["tags"] == {"kind": "test"}
    in_short = {"points": 3, "last": 2.0, "last_step": 2, "min": 1.0, "max": 3.0, "first": 3.0, "mean": 2.0}
    in_short |= {"step_of_min": 1, "step_of_max": 0}
    assert shown["metrics"] == {"loss": in_short}
    assert [artifact["name"] for artifact in shown["artifacts"]] == ["notes.txt"]
    assert shown["links"]["local"]["location"] == str(complete_run.path.parent)


def test_text_holds_the_run(invoke: Invoke, complete_run: Run) -> None:
    lines = [line.split() for line in invoke("show", "experiments/done").stdout.splitlines()]
    for line in (["lr", "0.5"], ["loss", "2", "1", "3", "3", "2", "█▁▅"], ["notes.txt", "text", "5"], ["kind", "test"]):
        assert line in lines


def test_the_curve_is_in_the_order_of_steps(invoke: Invoke, root: Path) -> None:
    with start_run("late", sinks=["local"], delivery="inline") as run:
        for step in (0, 2, 1):
            run.log_metrics({"loss": float(step)}, step=step)
    assert "▁▅█" in invoke("show", "late").stdout


def test_delivery_is_shown_with_what_is_pending(invoke: Invoke, pending_run: Run) -> None:
    lines = [line.split() for line in invoke("show", "stuck").stdout.splitlines()]
    assert ["local", "complete", "0"] in lines
    assert ["probe", "pending", "4"] in lines
    shown = json.loads(invoke("show", "stuck", "--json").stdout)["delivery"]
    assert [(sink["sink"], sink["pending"]) for sink in shown] == [("local", 0), ("probe", 4)]


def test_diff_compares_with_the_run_before_of_the_same_kind(invoke: Invoke, root: Path) -> None:
    """A number at the end of its name, and the runs of other projects, do not count."""
    runs = [("train-v1", "p", 0.1), ("train-v2", "p", 0.2), ("train-v3", "q", 0.3), ("eval", "p", 0.4)]
    for name, project, lr in (*runs, ("train-v10", "p", 0.5)):
        with start_run(name, project=project, sinks=["local"], delivery="inline", params={"lr": lr}):
            time.sleep(0.002)  # so that each starts in a millisecond of its own
    lines = [line.split() for line in invoke("show", "train-v10", "--diff").stdout.splitlines()]
    assert ["train-v2", "(baseline)", "train-v10"] in lines
    assert ["lr", "0.2", "0.5"] in lines
    shown = json.loads(invoke("show", "train-v10", "--diff", "--json").stdout)["diff"]
    assert shown["params"][0] == {"name": "lr", "differs": True, "values": [0.2, 0.5]}
    with pytest.raises(NotFoundError, match="there is no run before 'eval'"):
        invoke("show", "eval", "--diff")


def test_diff_takes_runs_without_names_for_one_kind(invoke: Invoke, root: Path) -> None:
    """Their names are made up."""
    for lr in (0.1, 0.2):
        with start_run(project="p", sinks=["local"], delivery="inline", params={"lr": lr}) as run:
            time.sleep(0.002)
    lines = [line.split() for line in invoke("show", run.id, "--diff").stdout.splitlines()]
    assert ["lr", "0.1", "0.2"] in lines


def test_a_long_value_makes_no_other_line_long(invoke: Invoke, root: Path) -> None:
    """In a pipe: it is whole, and no line ends in blanks."""
    with start_run("long", sinks=["local"], delivery="inline") as run:
        run.log_params({"text": "x" * 5000, "lr": 0.5})
        run.log_metrics({"n" * 900: 1.0, "loss": 0.5})
    lines = invoke("show", "long").stdout.splitlines()
    assert f"text    {'x' * 5000}" in lines
    assert [line for line in lines if line != line.rstrip()] == []


def test_out_of_order_points_and_nan(invoke: Invoke, root: Path) -> None:
    """The last value is that of the highest step; NaN is neither the least nor the greatest."""
    config = {"safeguards": {"non_finite": "keep"}, "tracking": {"sinks": ["local"], "delivery": "inline"}}
    with start_run("odd", config=config) as run:
        for step, value in ((5, 0.5), (1, 9.0), (3, float("nan"))):
            run.log_metrics({"loss": value}, step=step)
    shown = json.loads(invoke("show", "odd", "--json").stdout)["metrics"]["loss"]
    assert shown == {
        "points": 3, "last": 0.5, "last_step": 5, "min": 0.5, "max": 9.0, "first": 0.5, "mean": None,
        "step_of_min": 5, "step_of_max": 1,
    }  # fmt: skip


def test_markup_in_names_is_text(invoke: Invoke, root: Path) -> None:
    with start_run("m", sinks=["local"], delivery="inline") as run:
        run.log_params({"pattern": "[red]x[/red]"})
    assert "[red]x[/red]" in invoke("show", "m").stdout


def test_reads_a_folder_in_the_documents_layout(invoke: Invoke, root: Path) -> None:
    """One that unitrack did not write."""
    folder = root / "theirs"
    folder.mkdir()
    metadata = {"run_name": "old", "start_time": "20250102_030405", "status": "completed"}
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "metrics.jsonl").write_text('{"step": 3, "metrics": {"loss": 0.5}}\n', encoding="utf-8")
    shown = json.loads(invoke("show", "theirs", "--json").stdout)
    assert (shown["name"], shown["status"], shown["metrics"]["loss"]["last"]) == ("old", "finished", 0.5)


def test_a_run_without_local_files_says_where_it_is(root: Path, call_program: Program) -> None:
    options = {"out": str(root / "backend"), "troubles": [{"hook": "open_run", "kind": "misconfigured"}]}
    run = start_run("remote", sinks=[{"probe": options}], delivery="inline")
    with pytest.warns(DeliveryWarning):
        run.finish(timeout=0)
    result = call_program("show", "remote")
    assert result.returncode == 2
    assert "it logs to probe" in result.stderr
    assert f"unitrack sync {run.path} --to local" in result.stderr


def test_a_run_with_very_many_metrics_is_shown_in_part(invoke: Invoke, root: Path) -> None:
    with start_run("wide", sinks=["local"], delivery="inline") as run:
        run.log_metrics({f"m{number}": 0.5 for number in range(1003)}, step=0)
    lines = invoke("show", "wide").stdout.splitlines()
    assert "and 3 more metrics, which --json has" in lines
    assert len(json.loads(invoke("show", "wide", "--json").stdout)["metrics"]) == 1003


def test_points_that_are_not_finite_are_told(invoke: Invoke, root: Path) -> None:
    """They are kept, and lie in no minimum or maximum."""
    config = {"safeguards": {"non_finite": "keep"}}
    with start_run("odd", sinks=["local"], delivery="inline", config=config) as run:
        for step, loss in enumerate((1.0, float("nan"), float("inf"), 0.5)):
            run.log_metrics({"loss": loss, "acc": 1.0}, step=step)
    shown = invoke("show", "odd").stdout
    assert "loss: 2 of 4 points are NaN or infinite, the first at step 1\n" in shown
    assert "acc: " not in shown


def test_versions_of_packages_are_counted(invoke: Invoke, root: Path) -> None:
    """There are hundreds; `--json` has each."""
    packages = {f"package{number}": "1.0" for number in range(300)}
    with start_run("env", sinks=["local"], delivery="inline", params={"lr": 1, "packages": packages}):
        pass
    shown = invoke("show", "env").stdout
    assert "300 versions, which --json has" in shown
    assert "package7" not in shown
    assert json.loads(invoke("show", "env", "--json").stdout)["params"]["packages.package7"] == "1.0"
