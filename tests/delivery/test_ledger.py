"""A ledger is written by one holder at a time: the one that has the sink's lock."""

from __future__ import annotations

from pathlib import Path

import pytest
from unitrack_tests.bench import Bench, settle

from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.ledger import Ledger, LockedLedger
from unitrack.errors import SinkUnavailableError


def test_nothing_is_written_without_the_lock(root: Path) -> None:
    """Neither by an object that never took the lock nor by one that has let go of it."""
    folder = Bench(root).folder
    ledger = LockedLedger(folder, "a")
    ledger.update(delivered=7)
    with pytest.raises(RuntimeError, match="only while its sink's lock is held"):
        ledger.save()
    assert not folder.ledger_file("a").exists()
    assert ledger.acquire()
    ledger.release()
    with pytest.raises(RuntimeError):
        ledger.save()


def test_a_ledger_itself_can_be_neither_changed_nor_saved() -> None:
    ledger = Ledger(delivered=1)
    with pytest.raises(AttributeError):
        ledger.delivered = 2  # type: ignore[misc]
    assert not hasattr(ledger, "save")


def test_two_holders_never_save_at_once_and_each_begins_at_what_the_other_has_saved(root: Path) -> None:
    folder = Bench(root).folder
    one, other = LockedLedger(folder, "a"), LockedLedger(folder, "a")
    assert one.acquire()
    assert not other.acquire()
    one.update(delivered=5)
    assert one.save()
    with pytest.raises(RuntimeError):
        other.save()
    one.release()
    assert other.acquire()
    assert other.current.delivered == 5
    other.update(delivered=other.current.delivered + 1)
    assert other.save()
    other.release()
    assert Ledger.load(folder.ledger_file("a")).delivered == 6


def test_a_lane_that_was_released_writes_no_ledger(root: Path) -> None:
    """A step after `release` is an error of the caller, and overwrites nothing that the next holder has committed."""
    bench = Bench(root)
    bench.points(1.0)
    first = bench.lane()
    settle(first)
    first.release()
    bench.points(2.0, first_step=1)
    bench.end()
    second = bench.lane()
    assert settle(second) is Progress.DONE
    second.release()
    committed = bench.folder.ledger_file("a").read_bytes()
    with pytest.raises(RuntimeError, match="lock"):
        while first.step() is Progress.MADE:
            pass
    assert bench.folder.ledger_file("a").read_bytes() == committed
    first.release()


def test_one_that_cannot_be_read_is_not_replaced(root: Path) -> None:
    """A sink that began anew would lose what stood in segments that are deleted."""
    folder = Bench(root).folder
    folder.ledger_file("a").mkdir()  # as unreadable as a bad block, for root too
    ledger = LockedLedger(folder, "a")
    assert ledger.is_lost
    with pytest.raises(SinkUnavailableError, match="can't read the ledger"):
        ledger.require_readable()
    assert ledger.acquire()
    assert not ledger.save()
    ledger.release()
    folder.ledger_file("a").rmdir()
    ledger.reload()
    ledger.require_readable()
