"""Trials that run at the same time are a crowd to the server that they log to."""

from __future__ import annotations

from unitrack.config import resolve
from unitrack.sweeps.agent import in_crowd


def test_as_many_as_there_are_workers() -> None:
    alone = resolve()
    assert in_crowd(alone, 1).settings.tracking.crowd is None
    assert in_crowd(alone, 1000).settings.tracking.crowd == 1000
    told = resolve({}, call={"tracking": {"crowd": 50}})
    assert in_crowd(told, 1000).settings.tracking.crowd == 50
    assert in_crowd(alone, 1000).settings.experiment == alone.settings.experiment
