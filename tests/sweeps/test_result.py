"""What a sweep shows: while it runs, and as its result."""

import io
import sys

import pytest

import unitrack
from unitrack.sweeps.outcome import TrialResult
from unitrack.sweeps.progress import Count, LiveTable, make_progress

pytest.importorskip("optuna")


def train(x, depth=1):
    if x == 3:
        raise ValueError("too [bold]large")
    return {"loss": (x - 2) ** 2 + depth / 100, "acc": x / 10}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    config = {"tracking": {"delivery": "inline", "root": str(root), "sinks": ["local"]}}
    space = {"x": [1, 2, 3], "depth": [1, 2]}
    return unitrack.sweep(train, space, strategy="grid", name="s", config=config, progress=False)


def test_a_result_prints_as_a_table_with_the_best_first(result):
    lines = repr(result).splitlines()
    assert lines[0].split() == [
        "number", "status", "loss", "params.x", "params.depth", "metrics.acc", "seconds", "run_id", "error"
    ]  # fmt: skip
    assert lines[1].split()[:4] == ["2", "finished", "0.01", "2"]
    assert lines[-1] == "6 rows; sweep s, min of loss"
    assert "ValueError: too [bold]large" in lines[-2]
    assert "<table>" in result._repr_html_() and "too [bold]large" in result._repr_html_()


def test_a_result_is_a_sequence_and_a_frame(result):
    pandas = pytest.importorskip("pandas")
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["params.x"])[:2] == [2, 2]
    assert frame["loss"].isna().sum() == 2
    assert len(result[1:3]) == 2
    assert result.ranked[0] == result.best
    assert result.runs.find(result.best.run_id).summary["acc"] == 0.2


def test_importances_say_which_param_matters(result):
    found = result.importances()
    assert set(found) == {"x", "depth"}
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "x"


def test_importances_of_too_few_trials_are_an_error(tmp_path):
    config = {"tracking": {"delivery": "inline", "root": str(tmp_path), "sinks": ["local"]}}
    one = unitrack.sweep(lambda x: x, {"x": [1]}, strategy="grid", config=config, progress=False)
    with pytest.raises(unitrack.SweepError, match="tells no importances"):
        one.importances()


def trial(number, value=None, status="finished", **options):
    return TrialResult(number=number, status=status, value=value, params={"lr": 0.1}, seconds=1.0, **options)


def test_where_there_is_no_terminal_each_trial_is_a_line(capsys):
    count = Count("s", "loss", "min", 3, [])
    with make_progress(count, is_shown=True) as progress:
        progress.show(trial(0, 2.0))
        progress.show(trial(1, status="failed", error="ValueError: no\nmore"))
        progress.show(trial(2, 1.0))
    assert capsys.readouterr().err.splitlines() == [
        "sweep s: trial 0 finished, loss 2 (best so far); lr=0.1; 1.0 s",
        "sweep s: trial 1 failed: ValueError: no; lr=0.1; 1.0 s",
        "sweep s: trial 2 finished, loss 1 (best so far); lr=0.1; 1.0 s",
        "sweep s: 3 of 3 trials, 1 failed; best loss 1, trial 2: lr=0.1",
    ]


def test_a_sweep_that_goes_on_says_how_far_it_is(capsys):
    with make_progress(Count("s", "loss", "max", 3, [trial(0, 2.0), trial(1, 3.0)]), is_shown=True):
        assert capsys.readouterr().err == "sweep s goes on: 2 of 3 trials; best loss 3, trial 1: lr=0.1\n"


def test_on_a_terminal_there_is_a_live_table(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    progress = make_progress(Count("s", "loss", "min", 3, []), is_shown=True)
    assert isinstance(progress, LiveTable)
    with progress:
        progress.show(trial(0, 2.0))
        progress.show(trial(1, status="failed", error="ValueError: [red]no"))
    shown = terminal.getvalue()
    assert "2 of 3 trials, 1 failed" in shown
    assert "best loss 2, trial 0: lr=0.1" in shown
    assert "ValueError: [red]no" in shown


def test_progress_can_be_left_out(capsys):
    with make_progress(Count("s", "loss", "min", 3, []), is_shown=False) as progress:
        progress.show(trial(0, 2.0))
    assert capsys.readouterr().err == ""
