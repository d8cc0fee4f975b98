"""A trackio script, unchanged: its own database and the captured run hold the same."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from unitrack_tests.captured import captured_of, differences, run_captured

from unitrack.reading import runs

pytestmark = pytest.mark.skipif(  # trackio itself is not imported here: it takes one folder in a process
    not (find_spec("trackio") and find_spec("unitrack_trackio")), reason="needs trackio and unitrack-trackio"
)


def test_points_and_params_are_those_of_the_database_step_for_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = run_captured("trackio_training.py", TRACKIO_DIR=str(tmp_path / "store"))
    [original] = runs(f"trackio:{tmp_path / 'store'}")
    captured = captured_of(original.id)
    assert differences(original, captured) == []
    assert captured.history("after").steps.tolist() == [21]
    assert (captured.name, captured.project, captured.group) == ("first", "demo", "g")
    assert captured.status == "finished"
    assert "1 call of `trackio.log of a str ('note')` was not captured" in report
