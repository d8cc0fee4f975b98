"""A disabled run: every call works, and nothing is written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import unitrack


def test_disabled_leaves_no_trace(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call works, nothing is written, nothing is checked."""
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    with unitrack.start_run("a", sinks=["local"], root=root / "runs") as run:
        run.log_metrics({"loss": "no number"})
        run.log_metric("loss", math.nan, step=-1)
        run.log_params(5)
        run.log_param("a", object())
        run.set_tags({})
        run.log_artifact("missing")
        run.log_artifacts("missing")
        run.log_text("a", "../b")
        run.log_dict({}, "")
        run.log_figure(None, "")
        run.log_image(None, "")
        run.log_model(None)
        run.log_environment()
        assert run.links() == {}
        assert run.flush().ok
        assert run.name == "a"
        assert run.id
        assert repr(run)
        (run.path / "plots").mkdir()  # training may write there, and elsewhere than in the root
        run.log({"loss": "no number", "image": object()})
        run.define_metric("")
        run.config["lr"] = 0.1
        run.summary["best"] = 0.5
        assert (run.config["lr"], run.summary["best"]) == (0.1, 0.5)
        assert unitrack.current_run() is run
    assert run.finish().ok
    assert unitrack.current_run() is not run
    assert list(root.iterdir()) == []
    tracker = unitrack.Tracker({"tracking": {"root": str(root / "t")}})
    tracker.start_run("x")
    tracker.log_metrics({"a": 1})
    tracker.end_run()
    assert list(root.iterdir()) == []
