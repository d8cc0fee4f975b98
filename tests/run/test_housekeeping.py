"""The thread that looks after live runs."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.children import run_child

import unitrack
from unitrack.delivery.courier.pool import pool
from unitrack.run import housekeeper, lifecycle
from unitrack.run.housekeeper import Housekeeper


def housekeepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, Housekeeper)]


@pytest.fixture(autouse=True)
def no_housekeeper_of_before(root: Path) -> None:
    for thread in housekeepers():
        thread.join(30)
    assert not housekeepers()


def test_it_goes_on_after_memory_was_short(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that catches a MemoryError still has its journal synced and its couriers revived."""
    rounds = 0

    def revive() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise MemoryError

    monkeypatch.setattr(housekeeper, "HOUSEKEEPING_S", 0.01)
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

    monkeypatch.setattr(housekeeper, "HOUSEKEEPING_S", 0.01)
    monkeypatch.setattr(pool, "revive", revive)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline"):
            deadline = time.monotonic() + 30
            while rounds < 5 and time.monotonic() < deadline:
                time.sleep(0.01)
    assert rounds >= 5
    [told] = [str(one.message) for one in caught]
    assert "AttributeError: module 'os' has no attribute 'fdatasync'" in told


def test_journals_are_synced_without_fdatasync(root: Path) -> None:
    """MacOS has no `os.fdatasync`."""
    code = (
        "import os; vars(os).pop('fdatasync', None)\n"
        "import unitrack\n"
        "from unitrack.journal import sync_journals\n"
        "run = unitrack.start_run('a', sinks=['local'], delivery='inline')\n"
        "run.log_metric('loss', 1.0)\n"
        "run._parts.recorder.sync(); sync_journals(run._parts.recorder.folder.spool)\n"
        "run.finish(); print('synced')\n"
    )
    done = run_child("-c", code, cwd=root)
    assert done.stdout == "synced\n"


def test_runs_that_begin_at_once_share_one_thread(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would tell each trouble twice."""
    started: list[threading.Thread] = []
    start = Housekeeper.start

    def start_slowly(thread: Housekeeper) -> None:
        started.append(thread)
        time.sleep(0.2)
        start(thread)

    monkeypatch.setattr(Housekeeper, "start", start_slowly)

    def track(name: str) -> None:
        unitrack.start_run(name, sinks=["local"], root=root / "runs", delivery="inline").finish()

    threads = [threading.Thread(target=track, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1


def test_a_run_that_begins_as_the_thread_leaves_is_looked_after(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves, rounds = threading.Event(), 0

    class Live(list[Any]):
        """Holds a housekeeper that sees no run a while between that look and its end."""

        def __bool__(self) -> bool:
            found = len(self) > 0
            if not found and isinstance(threading.current_thread(), Housekeeper):
                leaves.set()
                time.sleep(0.5)
            return found

    def revive() -> None:
        nonlocal rounds
        rounds += 1

    monkeypatch.setattr(housekeeper, "HOUSEKEEPING_S", 0.01)
    monkeypatch.setattr(lifecycle.live, "runs", Live())
    monkeypatch.setattr(pool, "revive", revive)
    unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline").finish()
    assert leaves.wait(30)
    with unitrack.start_run("b", sinks=["local"], root=root / "runs", delivery="inline"):
        before, deadline = rounds, time.monotonic() + 5
        while rounds < before + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert rounds >= before + 3


def test_a_thread_without_runs_leaves_and_looks_at_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it told as the only one is told again by the thread of the next run."""
    rounds = 0

    def revive() -> None:
        nonlocal rounds
        rounds += 1

    monkeypatch.setattr(housekeeper, "HOUSEKEEPING_S", 0.3)
    monkeypatch.setattr(pool, "revive", revive)
    unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline").finish()
    [thread] = housekeepers()
    thread.join(30)
    assert rounds == 0
