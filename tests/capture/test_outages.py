"""An outage of ours never touches the original; what was captured goes to each sink as anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from unitrack_tests.captured import run_captured

import unitrack
from unitrack.reading import runs

SINKS = """
tracking:
  sinks: [local, {mlflow: {tracking_uri: "sqlite:///ours.db"}}, {wandb: {mode: offline}}, tensorboard]
"""


def test_a_script_whose_runs_cannot_start_is_the_same_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own backend gets everything, and one line says that nothing was captured."""
    pytest.importorskip("wandb", reason="needs W&B's SDK")
    pytest.importorskip("unitrack_wandb", reason="needs unitrack-wandb, which reads the offline file")
    monkeypatch.chdir(tmp_path)
    report = run_captured("wandb_training.py", UNITRACK_ROOT="/proc/no-such-folder")
    [original] = runs("wandb:wandb")
    assert (len(original.history("loss")), original.status) == (5, "finished")
    assert "1 call of `wandb: start of a run` was not captured: can't create a run folder" in report
    assert "calls of `wandb, of a run that could not start here` were not captured" in report


def test_a_replaced_sdk_whose_run_cannot_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else would get the data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text("import wandb; wandb.init()")
    with pytest.raises(AssertionError, match="can't create a run folder"):
        run_captured(str(tmp_path / "script.py"), options=("--replace", "wandb"), UNITRACK_ROOT="/proc/no-such-folder")


def test_a_disk_that_is_full_is_a_line_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of the script, which goes on."""
    pytest.importorskip("wandb", reason="needs W&B's SDK")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(
        "import wandb, resource, signal\n"
        "wandb.init(project='p', mode='offline')\n"
        "wandb.log({'loss': 1})\n"
        "import unitrack.journal.writer as writer, errno\n"
        "def full(*args): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "writer.os.write = full\n"
        "for _ in range(3): wandb.log({'loss': 2})\n"
        "import os, posix; os.write = posix.write\n"
        "wandb.finish()\n"
        "print('done')\n"
    )
    report = run_captured(str(tmp_path / "script.py"))
    assert "3 calls of `wandb.log` were not captured: " in report
    assert "No space left on device" in report
    [run] = runs("local:experiments")
    assert run.history("loss").values.tolist() == [1]


def test_captured_runs_are_the_same_in_all_four_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A W&B script unchanged, and `unitrack verify` green."""
    for package in ("wandb", "unitrack_mlflow", "unitrack_wandb", "unitrack_tensorboard"):
        pytest.importorskip(package, reason=f"needs {package}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unitrack.yaml").write_text(SINKS)
    names = ("local", "mlflow", "wandb", "tensorboard")
    run_captured("wandb_training.py", options=("--sinks", ",".join(names), "--replace", "wandb"), wait=True)
    [run] = runs("local:experiments")
    verification = unitrack.verify(run.id)
    assert verification.ok, verification
    assert len(verification.checks) == 4
