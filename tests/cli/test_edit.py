"""`unitrack tag`, `note`, `rename`, `archive` and `clean`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import unitrack
from unitrack import ConfigError, Run, start_run

Invoke = Callable[..., Result]


def test_tag_note_and_rename_change_the_run_and_say_where(invoke: Invoke, complete_run: Run) -> None:
    assert invoke("tag", "done-1", "team=nlp", "best").stdout == "done (done-1): tagged in local\n"
    assert invoke("note", "done", "What came of it.").stdout == "done (done-1): noted in local\n"
    assert invoke("note", "done", "--append", "And more.").exit_code == 0
    assert invoke("rename", "done", "kept").stdout == "done (done-1): renamed to 'kept' in local\n"
    [found] = unitrack.runs()
    assert (found.name, found.description) == ("kept", "What came of it.\n\nAnd more.")
    assert found.tags == {"kind": "test", "team": "nlp", "best": "true"}
    assert "done-1" in invoke("show", "kept").stdout, "a run is found by its new name"
    [sink] = json.loads(invoke("tag", "kept", "a=b", "--json").stdout)["done-1"]
    assert (sink["sink"], sink["state"]) == ("local", "complete")


def test_what_a_sink_does_not_have_yet_is_exit_code_1(invoke: Invoke, pending_run: Run) -> None:
    result = invoke("tag", "stuck-1", "team=nlp")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "stuck (stuck-1): tagged in local, probe")


def test_archived_runs_say_so_and_come_back(invoke: Invoke, complete_run: Run) -> None:
    assert invoke("archive", "done-1").stdout == "done (done-1): archived in local\n"
    assert unitrack.runs()[0].tags["unitrack.archived"] == "true"
    assert "done-1" not in invoke("runs").stdout
    assert "done-1" in invoke("runs", "--archived").stdout
    assert invoke("archive", "done-1", "--undo").exit_code == 0
    assert unitrack.runs()[0].tags["unitrack.archived"] == "false"
    assert "done-1" in invoke("runs", "--limit", "1").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tag", "dne-1", "a=b"], "did you mean 'done-1'"),
        (["tag", "done-1", "=b"], "the tag '=b' has no name"),
        (["rename", "done-1", " "], "the new name is empty"),
        (["clean"], "nothing says what may go"),
        (["clean", "--keep-best", "1"], "--metric NAME go together"),
        (["clean", "--older-than", "soon"], "--older-than: 'soon' is no duration"),
        (["clean", "--keep-best", "1", "--metric", "loss", "--goal", "best"], "is 'min' or 'max', got 'best'"),
        (["clean", "experiments/done", "--failed"], "is one run: give the folder of runs"),
        (["clean", "--undo"], "is empty: there is nothing to bring back"),
    ],
)
def test_bad_arguments_are_clear_errors(invoke: Invoke, complete_run: Run, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        invoke(*arguments)


def test_clean_shows_first_then_moves_and_brings_back(invoke: Invoke, complete_run: Run, root: Path) -> None:
    run = start_run("bad", run_id="bad-1", sinks=["local"], delivery="inline")
    run.finish("failed")
    shown = invoke("clean", "--failed").stdout
    assert "bad-1" in shown
    assert shown.endswith("nothing was moved: add --yes to do it\n")
    assert len(unitrack.runs()) == 2
    moved = invoke("clean", "--failed", "--yes").stdout
    assert "moved to experiments/.trash/" in moved
    assert [run.id for run in unitrack.runs()] == ["done-1"]
    assert "1 run back" in invoke("clean", "--undo").stdout
    assert len(unitrack.runs()) == 2
    found = json.loads(invoke("clean", "--failed", "--yes", "--json").stdout)
    assert ([one["run_id"] for one in found["runs"]], found["moved"], found["kept"]) == (["bad-1"], True, [])
    assert "in the trash: add --yes" in invoke("clean", "--empty-trash").stdout
    assert "deleted" in invoke("clean", "--empty-trash", "--yes").stdout
    assert not (root / "experiments" / ".trash").exists()
    assert invoke("clean", "--empty-trash").stdout == "the trash is empty\n"


def test_a_run_in_use_stays_and_is_named(invoke: Invoke, complete_run: Run) -> None:
    with start_run("live", run_id="live-1", sinks=["local"], delivery="inline"):
        result = invoke("clean", "--empty", "--yes")
    assert result.exit_code == 1
    assert "live (live-1) stays: it is running" in result.stderr
