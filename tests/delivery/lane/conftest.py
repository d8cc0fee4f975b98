"""What the tests of a lane share."""

from __future__ import annotations

import pytest

from unitrack import limits


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off without the waiting, and no other try in place: here a failed call goes back to the last commit."""
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(limits, "IN_PLACE_TRIES", 1)
    monkeypatch.setattr(limits, "IN_PLACE_WANTED_S", 0.0)
    monkeypatch.setattr(limits, "WRITERS_GRACE_S", 0.05)
