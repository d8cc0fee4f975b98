"""`unitrack show`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from unitrack import DeliveryWarning, Run, start_run

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]


def test_json_holds_the_run(invoke: Invoke, complete_run: Run) -> None:
    shown = json.loads(invoke("show", "done-1", "--json").stdout)
    assert (shown["name"], shown["project"], shown["status"]) == ("done", "p", "finished")
    assert shown["params"] == {"lr": 0.5, "model.depth": 4}
    assert shown["tags"] == {"kind": "test"}
    in_short = {"points": 3, "last": 2.0, "last_step": 2, "min": 1.0, "max": 3.0, "first": 3.0, "mean": 2.0}
    assert shown["metrics"] == {"loss": in_short}
    assert [artifact["name"] for artifact in shown["artifacts"]] == ["notes.txt"]
    assert shown["links"]["local"]["location"] == str(complete_run.path.parent)


def test_text_holds_the_run(invoke: Invoke, complete_run: Run) -> None:
    lines = [line.split() for line in invoke("show", "experiments/done").stdout.splitlines()]
    for line in (["lr", "0.5"], ["loss", "2", "1", "3", "3", "2"], ["notes.txt", "text", "5"], ["kind", "test"]):
        assert line in lines


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
        "points": 3, "last": 0.5, "last_step": 5, "min": 0.5, "max": 9.0, "first": 0.5, "mean": None
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
    import pytest

    options = {"out": str(root / "backend"), "troubles": [{"hook": "open_run", "kind": "misconfigured"}]}
    run = start_run("remote", sinks=[{"probe": options}], delivery="inline")
    with pytest.warns(DeliveryWarning):
        run.finish(timeout=0)
    result = call_program("show", "remote")
    assert result.returncode == 2
    assert "the run logs to probe" in result.stderr
    assert f"unitrack sync {run.path} --to local" in result.stderr
