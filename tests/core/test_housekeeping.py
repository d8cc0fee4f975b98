"""The thread that looks after live runs."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest
from unitrack_children import run_child

import unitrack
from unitrack import lifecycle
from unitrack.delivery.pool import pool


def test_it_goes_on_after_memory_was_short(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that catches a MemoryError still has its journal synced and its couriers revived."""
    rounds = 0

    def revive() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise MemoryError

    monkeypatch.setattr(lifecycle, "HOUSEKEEPING_S", 0.01)
    monkeypatch.setattr(pool, "revive", revive)
    with unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline"):
        deadline = time.monotonic() + 30
        while rounds < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert rounds >= 5


def test_an_unexpected_exception_is_told_once_and_it_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that a system lacks must not end the thread that revives couriers."""
    rounds = 0

    def revive() -> None:
        nonlocal rounds
        rounds += 1
        raise AttributeError("module 'os' has no attribute 'fdatasync'")

    monkeypatch.setattr(lifecycle, "HOUSEKEEPING_S", 0.01)
    monkeypatch.setattr(pool, "revive", revive)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline"):
            deadline = time.monotonic() + 30
            while rounds < 5 and time.monotonic() < deadline:
                time.sleep(0.01)
    assert rounds >= 5
    [told] = {str(one.message) for one in caught}
    assert len(caught) < rounds
    assert "AttributeError: module 'os' has no attribute 'fdatasync'" in told


def test_journals_are_synced_without_fdatasync(root: Path) -> None:
    """MacOS has no `os.fdatasync`."""
    code = (
        "import os; del os.fdatasync\n"
        "import unitrack\n"
        "from unitrack.journal import sync_journals\n"
        "run = unitrack.start_run('a', sinks=['local'], delivery='inline')\n"
        "run.log_metric('loss', 1.0)\n"
        "run._journal.sync(); sync_journals(run._folder.spool)\n"
        "run.finish(); print('synced')\n"
    )
    done = run_child("-c", code, cwd=root)
    assert done.stdout == "synced\n"
