"""What a sweep shows while it runs: the counts are those of all agents that share the study."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.sweeps.definition import NO_METRIC
from unitrack.sweeps.outcome import TrialResult
from unitrack.sweeps.overview import ENDLESS, Overview, trial_columns
from unitrack.sweeps.progress import LiveTable, make_progress

optuna = pytest.importorskip("optuna")


def trial(number: int, value: float | None = None, status: Any = "finished", **options: Any) -> TrialResult:
    return TrialResult(number=number, status=status, value=value, params={"lr": 0.1}, seconds=1.0, **options)


def overview(trials: list[TrialResult], mode: Any = "min", metric: str = "loss", n: int = 3) -> Overview:
    return Overview("s", metric, mode, n, lambda: list(trials))


def test_where_there_is_no_terminal_each_trial_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    trials: list[TrialResult] = []
    failed = trial(1, status="failed", error="ValueError: no\nmore")
    with make_progress(overview(trials)) as progress:
        for one in (trial(0, 2.0), failed, trial(2, 1.0)):
            trials.append(one)
            progress.show(one)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", about")[0] for line in lines] == [
        "sweep s: trial 0 finished, loss 2 (best so far); lr=0.1; 1.0 s; 1 of 3 trials",
        "sweep s: trial 1 failed: ValueError: no; lr=0.1; 1.0 s; 2 of 3 trials, 1 failed",
        "sweep s: trial 2 finished, loss 1 (best so far); lr=0.1; 1.0 s; 3 of 3 trials, 1 failed",
        "sweep s: 3 of 3 trials, 1 failed; best loss 1, trial 2: lr=0.1",
    ]


def test_a_sweep_that_goes_on_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with make_progress(overview([trial(0, 2.0), trial(1, 3.0), trial(2, status="running")], "max")):
        said = capsys.readouterr().err
    assert said == "sweep s goes on: 2 of 3 trials, 1 running; best loss 3, trial 1: lr=0.1\n"


def test_without_a_metric_and_without_a_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """No best one, no number of trials; nothing at the end where a table follows."""
    trials = [trial(0)]
    with make_progress(overview(trials, metric=NO_METRIC, n=ENDLESS), is_transient=True) as progress:
        progress.show(trials[0])
    assert capsys.readouterr().err.splitlines() == [
        "sweep s goes on: 1 trial",
        "sweep s: trial 0 finished; lr=0.1; 1.0 s; 1 trial",
    ]
    assert [column.header for column in trial_columns(trials, NO_METRIC)] == ["trial", "status", "lr", "took", "run"]


def test_on_a_terminal_there_is_a_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    trials: list[TrialResult] = []
    progress = make_progress(overview(trials))
    assert isinstance(progress, LiveTable)
    with progress:
        trials += [trial(0, 2.0), trial(1, status="failed", error="ValueError: [red]no"), trial(2, status="running")]
        progress.show(trials[0])
    shown = terminal.getvalue()
    assert "2 of 3 trials, 1 running, 1 failed" in shown
    assert "best loss 2, trial 0: lr=0.1" in shown
    assert "ValueError: [red]no" in shown


def test_progress_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with make_progress(overview([trial(0)]), is_shown=False) as progress:
        progress.show(trial(0, 2.0))
    assert capsys.readouterr().err == ""


def test_the_trials_of_other_agents_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An agent that runs one of four trials, while another one runs the others."""
    config = {"tracking": {"delivery": "inline", "root": str(tmp_path), "sinks": ["local"]}}
    options: dict[str, Any] = {"strategy": "grid", "name": "s", "config": config}
    space = {"x": [1, 2, 3, 4]}

    def other(x: int) -> float:
        return x

    def train(x: int) -> float:
        if x == 1:
            unitrack.sweep(other, space, progress=False, **options)
        return x

    unitrack.sweep(train, space, **options)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("sweep s: trial 0 finished, loss 1 (best so far); x=1;")
    assert lines[0].endswith("; 4 of 4 trials")
    assert lines[1:] == ["sweep s: 4 of 4 trials; best loss 1, trial 0: x=1"]
