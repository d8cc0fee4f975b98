"""The thread that looks after live runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

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
