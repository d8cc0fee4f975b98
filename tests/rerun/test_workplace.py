"""A rerun that is ended before its program has started: nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unitrack_tests.children import wait_until
from unitrack_tests.records_of_runs import commit

from unitrack.rerun.git import run_git
from unitrack.rerun.workplace import handlers

PROGRAM = """
import unitrack
with unitrack.start_run("a", sinks=["local"], root="experiments", delivery="inline") as run:
    run.log_environment()
    run.log_metric("loss", 1.0)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_nothing_is_left(root: Path, repository: Path, number: int, code: int) -> None:
    """No temporary folder and no entry of a work tree, while git is checking the code out."""
    (repository / "train.py").write_text(PROGRAM)
    (repository / "slow.txt").write_text("slow")
    (repository / ".gitattributes").write_text("slow.txt filter=slow\n")
    commit(repository)
    subprocess.run([sys.executable, "train.py"], cwd=repository, check=True, capture_output=True)
    wait = f"touch {root}/begun; while [ ! -e {root}/go ]; do sleep 0.02; done; cat"
    run_git(repository, "config", "filter.slow.smudge", wait)
    (root / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "unitrack", "rerun", "experiments/a", "--yes", "--keep", "--env", "current"],
        cwd=repository,
        env=os.environ | {"TMPDIR": str(root / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until((root / "begun").exists)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    finally:
        (root / "go").touch()
    assert process.returncode == code, said
    assert "running" not in said
    assert list((root / "temporary").iterdir()) == []
    assert len(run_git(repository, "worktree", "list").splitlines()) == 1
    assert not (repository / ".git" / "worktrees").exists()


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As under `nohup`; other handlers are put back."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handlers({signal.SIGHUP: signal.SIG_DFL, signal.SIGTERM: signal.SIG_IGN}):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
