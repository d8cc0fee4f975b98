"""`unitrack copy`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import unitrack
from unitrack import Run
from unitrack.cli import FAILED, USAGE_ERROR
from unitrack.errors import ConfigError, QueryError

Invoke = Callable[..., Result]


def test_a_run_is_copied_and_found_there_the_second_time(complete_run: Run, root: Path, invoke: Invoke) -> None:
    shown = invoke("copy", complete_run.path, "local:copies")
    assert shown.exit_code == 0
    assert "done  done-1  copied" in shown.stdout
    assert "1 copied" in shown.stdout
    assert unitrack.runs(root / "copies")[0].id == "done-1"
    assert "already there" in invoke("copy", complete_run.path, "local:copies").stdout


def test_only_the_runs_that_match_are_copied(complete_run: Run, root: Path, invoke: Invoke) -> None:
    assert "no runs" in invoke("copy", complete_run.path, "local:copies", "--filter", "params.lr > 0.5").stdout
    assert "1 copied" in invoke("copy", complete_run.path, "local:copies", "--filter", "params.lr == 0.5").stdout
    with pytest.raises(QueryError):
        invoke("copy", complete_run.path, "local:copies", "--filter", "params.lr >")


def test_json_holds_the_report(complete_run: Run, invoke: Invoke) -> None:
    report = json.loads(invoke("copy", complete_run.path, "local:copies", "--json").stdout)
    assert report["destination"] == "local:copies"
    assert [(run["state"], run["points"]) for run in report["runs"]] == [("copied", 3)]


def test_edits_are_told(complete_run: Run, invoke: Invoke) -> None:
    options = ("--rename", "loss=train/loss", "--drop", "model.*", "--until-step", 1, "--tag", "a=b=c")
    shown = invoke("copy", complete_run.path, "local:copies", *options).stdout
    assert "done: renamed: loss to train/loss" in shown
    assert "done: left out: model.depth" in shown
    assert "done: left out beyond the last step: 1 points and artifacts" in shown
    assert unitrack.runs("copies")[0].tags["a"] == "b=c"


def test_a_dry_run_shows_what_would_be_copied(complete_run: Run, root: Path, invoke: Invoke) -> None:
    assert "would be copied" in invoke("copy", complete_run.path, "local:copies", "--dry-run").stdout
    assert not (root / "copies").exists()


def test_the_name_of_a_sink_is_a_destination(complete_run: Run, root: Path, invoke: Invoke) -> None:
    out = root / "backend"
    (root / "unitrack.yaml").write_text(f"tracking: {{sinks: [{{probe: {{name: mine, out: '{out}'}}}}]}}\n")
    assert invoke("copy", complete_run.path, "mine").exit_code == 0
    assert list(out.rglob("stored.jsonl"))


def test_what_did_not_arrive_is_told_by_the_exit_code(complete_run: Run, root: Path, invoke: Invoke) -> None:
    troubles = "{hook: open_run, kind: misconfigured}"
    (root / "unitrack.yaml").write_text(f"tracking: {{sinks: [{{probe: {{out: x, troubles: [{troubles}]}}}}]}}\n")
    shown = invoke("copy", complete_run.path, "probe")
    assert shown.exit_code == FAILED
    assert "incomplete" in shown.stdout


def test_a_copy_needs_a_destination(invoke: Invoke) -> None:
    shown = invoke("copy", "experiments")
    assert shown.exit_code == USAGE_ERROR
    assert "DST" in shown.stderr


@pytest.mark.parametrize(("option", "form"), [("--rename", "OLD=NEW"), ("--tag", "KEY=VALUE")])
def test_pairs_without_an_equals_sign_are_refused(invoke: Invoke, option: str, form: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} 'x' is not {form}: write a name, an equals sign and a value"):
        invoke("copy", "a", "b", option, "x")


def test_verify_proves_a_copy(complete_run: Run, invoke: Invoke) -> None:
    """The tag that names the source is no difference."""
    assert invoke("copy", complete_run.path, "local:copies").exit_code == 0
    shown = invoke("verify", complete_run.path, "local:copies", "--deletion-ready")
    assert shown.exit_code == 0, shown.stdout
