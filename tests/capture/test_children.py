"""Processes that a captured script starts are captured too."""

from __future__ import annotations

from pathlib import Path

import pytest
from unitrack_tests.captured import captured_of, run_captured

from unitrack.reading import runs


@pytest.mark.parametrize("method", ["fork", "spawn", "subprocess"])
def test_each_worker_has_a_run_of_its_own(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = run_captured("wandb_workers.py", method, options=("--replace", "wandb"), wait=True)
    assert {run.name for run in runs("local:experiments")} == {"worker 0", "worker 1", "parent"}
    assert captured_of("parent-run").history("loss").values.tolist() == [0.5]
    for run in runs("local:experiments"):
        assert run.metrics["loss"].last is not None, report
        assert run.status == "finished"


def test_a_forked_child_leaves_an_incomplete_row_to_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = run_captured("wandb_fork.py", options=("--replace", "wandb"), wait=True)
    [run] = runs("local:experiments")
    assert {name: run.history(name).steps.tolist() for name in run.metrics} == {
        "a": [0],
        "pending": [5],
        "b": [5],
        "best": [5],
    }
    assert report.count("captured wandb run forked") == 1


def test_a_worker_that_goes_on_with_the_parents_run_logs_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends its part alone."""
    monkeypatch.chdir(tmp_path)
    run_captured("wandb_shared.py", options=("--replace", "wandb"), wait=True)
    [run] = runs("local:experiments")
    assert run.history("from parent").values.tolist() == [0.5, 0.25]
    assert run.history("from worker").steps.tolist() == [100]
    assert run.status == "finished"
