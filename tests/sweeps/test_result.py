"""The result of a sweep: as a sequence, as a table, the best one."""

import pytest

import unitrack

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
