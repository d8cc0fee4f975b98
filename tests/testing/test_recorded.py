"""`recorded()`: a test of training code sees what that code logged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import unitrack
from unitrack.plugins.registry import installed
from unitrack.testing import recorded


def train(epochs: int = 3) -> None:
    """Training code as a user has it: it says nothing of sinks."""
    with unitrack.start_run("training", project="digits", tags={"team": "vision"}, params={"lr": 0.1}) as run:
        for step in range(epochs):
            run.log_metrics({"loss": 1 / (step + 1)}, step=step)
        run.log_params({"model": {"depth": 4}})
        run.log_text("done", "notes.txt")


def test_everything_that_was_logged() -> None:
    """By name, and as records."""
    with recorded() as runs:
        train()
    [run] = runs
    assert (run.name, run.project, run.status) == ("training", "digits", "finished")
    assert run.params == {"lr": 0.1, "model.depth": 4}
    assert run.points["loss"] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.values("loss") == [1.0, 0.5, 1 / 3]
    assert run.values("acc") == []
    assert run.tags == {"team": "vision"}
    assert run.files["notes.txt"].decode() == "done"
    assert [type(record).__name__ for record in run.records][:2] == ["RunStart", "Params"]


def test_within_and_after() -> None:
    """What was logged so far is there before the run has ended; the list stays when the recording is over."""
    with recorded() as runs:
        run = unitrack.start_run("one")
        run.log_metrics({"loss": 0.5}, step=7)
        assert runs[0].points == {"loss": [(7, 0.5)]}
        assert runs[0].status == "running"
        run.finish("failed")
        unitrack.start_run("two").finish()
    unitrack.start_run("not recorded", sinks=["local"], delivery="inline").finish()
    assert [(run.name, run.status) for run in runs] == [("one", "failed"), ("two", "finished")]
    assert len(runs) == 2


def test_the_trackers_of_the_document() -> None:
    """Runs of a `Tracker` too."""
    with recorded() as runs:
        tracker = unitrack.Tracker()
        tracker.start_run("tracked")
        tracker.log_metrics({"loss": 0.5}, step=1)
        tracker.end_run()
    assert runs[0].points == {"loss": [(1, 0.5)]}


def test_an_error_in_training_is_the_tests() -> None:
    """It passes through, and the run has failed."""
    with pytest.raises(ZeroDivisionError), recorded() as runs, unitrack.start_run("broken"):
        print(1 / 0)
    assert runs[0].status == "failed"


def test_nothing_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no environment variable, and no recording of before in the next one."""
    monkeypatch.setenv("UNITRACK_PROJECT", "kept")
    monkeypatch.setenv("UNITRACK_SINKS", "local")
    before = dict(os.environ)
    for _ in range(2):
        with recorded() as runs:
            train()
        assert len(runs) == 1
    assert dict(os.environ) == before
    assert list(root.iterdir()) == []


def test_the_backend_is_not_listed() -> None:
    """Nobody can log to it by mistake afterwards."""
    with recorded():
        train()
    assert "recording" not in installed().backends
