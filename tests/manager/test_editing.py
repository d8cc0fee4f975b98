"""Tags, name and description that are changed after the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack import Run, RunExistsError, start_run
from unitrack.manager.editing import edit_run
from unitrack.reading import StoredRun
from unitrack.runfolder.run_folder import RunFolder


def finished_run(root: Path, status: Any = "finished", **options: Any) -> Run:
    run = start_run("before", run_id="r1", tags={"kind": "test"}, delivery="inline", **options)
    run.log_metrics({"loss": 0.5}, step=3)
    run.log_text("hello", "notes.txt")
    run.finish(status)
    return run


def stored(run: Run) -> StoredRun:
    return unitrack.runs(run.path)[0]


@pytest.mark.parametrize("status", ["finished", "failed", "killed", "pruned"])
def test_a_run_that_ended_gets_tags_name_and_description_and_keeps_its_end(root: Path, status: str) -> None:
    run = finished_run(root, status, sinks=["local"])
    before = stored(run)
    report = edit_run(RunFolder(run.path), tags={"team": "nlp", "kind": "final"}, name="after", description="good")
    assert report.ok
    after = stored(run)
    assert (after.name, after.description, after.id) == ("after", "good", "r1")
    assert after.tags == {"kind": "final", "team": "nlp"}
    assert (after.status, after.ended, after.started) == (before.status, before.ended, before.started)
    assert after.history("loss") == before.history("loss")
    assert [artifact.name for artifact in after.artifacts] == ["notes.txt"]
    assert not RunFolder(run.path).spool.exists()


def test_edits_add_up(root: Path) -> None:
    run = finished_run(root, sinks=["local"])
    edit_run(RunFolder(run.path), tags={"a": "1"})
    edit_run(RunFolder(run.path), name="second")
    edit_run(RunFolder(run.path), tags={"b": "2"}, description="note")
    found = stored(run)
    assert (found.name, found.description) == ("second", "note")
    assert found.tags == {"kind": "test", "a": "1", "b": "2"}


def test_every_sink_gets_them_and_one_that_is_down_later(root: Path) -> None:
    """What can't be delivered stays pending."""
    troubles = [{"hook": "set_tags", "kind": "misconfigured"}]
    sinks: list[Any] = ["local", {"probe": {"out": str(root / "probe"), "troubles": troubles}}]
    run = finished_run(root, sinks=sinks)
    report = edit_run(RunFolder(run.path), tags={"team": "nlp"}, timeout=20)
    assert (report["local"].ok, report["probe"].ok) == (True, False)
    assert report["probe"].state == "parked"
    assert stored(run).tags["team"] == "nlp"


def test_secrets_in_tags_and_notes_are_redacted(root: Path) -> None:
    run = finished_run(root, sinks=["local"])
    edit_run(RunFolder(run.path), tags={"api_key": "abc123"}, description="see https://me:hunter2@host/x")
    found = stored(run)
    assert found.tags["api_key"] != "abc123"
    assert "hunter2" not in found.description


def test_a_run_that_goes_on_takes_tags_and_no_other_name(root: Path) -> None:
    with start_run("open", sinks=["local"], delivery="inline") as run:
        run.log_metrics({"loss": 1.0}, step=0)
        with pytest.raises(RunExistsError, match="still goes on: change its name and description"):
            edit_run(RunFolder(run.path), name="other", description="d")
        edit_run(RunFolder(run.path), tags={"seen": "yes"})
        run.log_metrics({"loss": 2.0}, step=1)
    found = stored(run)
    assert (found.name, found.tags, found.status) == ("open", {"seen": "yes"}, "finished")
    assert len(found.history("loss")) == 2
