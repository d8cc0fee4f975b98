"""`Trial`: what the test kit puts between a lane and a sink."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from unitrack import local
from unitrack.hookspecs import hookimpl
from unitrack.records import Metrics
from unitrack.testing import Trial


class Noting:
    """Notes each call of `log_metrics` that passes through it."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self._calls = calls

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Generator[None, Any, Any]:
        self._calls.append(self._name)
        return (yield)


def test_interposed_wrappers_are_around_the_sink_and_survive_a_crash(tmp_path: Path) -> None:
    """The last one is the outermost; one that comes later waits for the next opening of the sink."""
    [backend] = local.register_backends()
    trial, calls = Trial(tmp_path, backend, {}), list[str]()
    trial.interpose(Noting("inner", calls))
    trial.interpose(Noting("outer", calls))
    trial.metrics({"loss": 0.5}, step=0)
    trial.deliver()
    trial.interpose(Noting("late", calls))
    trial.metrics({"loss": 0.25}, step=1)
    trial.deliver()
    trial.crash()
    trial.metrics({"loss": 0.125}, step=2)
    trial.end()
    trial.close()
    assert calls == ["outer", "inner", "outer", "inner", "late", "outer", "inner"]
    assert (tmp_path / "metrics.jsonl").read_text().count("loss") == 3
