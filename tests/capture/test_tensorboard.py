"""A script with `SummaryWriter`, unchanged: its event files and the captured runs hold the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unitrack_tests.captured import captured_of, differences, run_captured

from unitrack.reading import StoredRun, runs

WRITERS = {"torch": "torch.utils.tensorboard", "tensorboardX": "tensorboardX"}
ARTIFACTS = {
    "batch/0-1.png",
    "batch/1-1.png",
    "gray-2.png",
    "image-2.png",
    "notes-3.md",
    "weights-4.json",
}


def original_of(name: str) -> StoredRun:
    [found] = [run for run in runs("tensorboard:runs") if run.id == name]
    return found


@pytest.mark.parametrize("writer", WRITERS)
def test_points_are_those_of_the_event_files_step_for_step(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of `add_scalars` and `add_hparams` lie in folders of their own there."""
    pytest.importorskip(WRITERS[writer], reason=f"needs {writer}")
    pytest.importorskip("unitrack_tensorboard", reason="needs unitrack-tensorboard, which reads the event files")
    monkeypatch.chdir(tmp_path)
    report = run_captured("tensorboard_training.py", writer)
    second = captured_of(str(tmp_path / "runs" / "second"))
    assert differences(original_of("second"), second, exact_floats=False) == []
    first = captured_of(str(tmp_path / "runs" / "first"))
    found = differences(original_of("first"), first, exact_floats=False)
    elsewhere = {"lr", "kind", "rates/a", "rates/b", "hparam/best"}
    assert {one.name for one in found} <= elsewhere and {one.problem for one in found} == {"missing"}
    parts = [run for run in runs("tensorboard:runs") if run.id.startswith("first/rates")]
    values = {tuple(run.history("rates").values) for run in parts}
    assert values == {tuple(first.history("rates/a").values), tuple(first.history("rates/b").values)}
    assert (first.params, first.metrics["hparam/best"].last) == ({"lr": 0.1, "kind": "sgd"}, 0.75)
    assert {artifact.name for artifact in first.artifacts} >= ARTIFACTS
    assert first.status == second.status == "finished"
    assert "1 call of `SummaryWriter.add_pr_curve` was not captured" in report


def test_a_writer_without_torch_logs_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its place, no event file is written, and nothing of TensorBoard is imported, which need not be there."""
    monkeypatch.chdir(tmp_path)
    run_captured("tensorboard_training.py", "tensorboardX", options=("--replace", "tensorboard"))
    assert not (tmp_path / "runs").exists()
    first = captured_of(str(tmp_path / "runs" / "first"))
    assert first.history("late").steps.tolist() == [3, 1]
    assert first.history("loss/train").values.tolist() == [1.0, 0.5, 1 / 3, 0.25, 0.2]
    assert {artifact.name for artifact in first.artifacts} == ARTIFACTS


def test_an_exception_is_a_failed_run_and_a_closed_writer_may_be_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = """
from unitrack.capture.tensorboard import SummaryWriter
writer = SummaryWriter("runs/again")
writer.add_scalar("a", 1, 1)
writer.close()
writer.add_scalar("a", 2, 2)
with SummaryWriter("runs/broken") as other:
    other.add_scalar("a", 1)
    raise KeyError("stop")
"""
    environ = os.environ | {"UNITRACK_SINKS": "local"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert "KeyError: 'stop'" in done.stderr
    assert captured_of(str(tmp_path / "runs" / "again")).history("a").values.tolist() == [1, 2]
    assert captured_of(str(tmp_path / "runs" / "broken")).status == "failed"
