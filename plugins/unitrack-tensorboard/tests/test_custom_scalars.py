"""The charts of the Custom Scalars dashboard, as its own plugin finds them."""

from __future__ import annotations

import msgspec
import pytest
from tensorboard_dashboards import custom_scalars

from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard.options import TensorBoardOptions

LOSSES = {"losses": {"both": ["train/loss", "val/loss"], "every": [r".*/(loss|acc)$"]}, "speed": {"ü": ["speed"]}}


def test_the_layout_says_which_metrics_are_in_which_chart(open_sink, logdir, reader):
    sink = open_sink(layout=LOSSES)
    sink.metrics({"train/loss": 1.0, "val/loss": 2.0, "val/acc": 0.5, "speed": 3.0}, 1)
    sink.end()
    with reader(logdir) as opened:
        assert custom_scalars(opened, "run-a") == {
            "losses": {"both": ["train/loss", "val/loss"], "every": ["train/loss", "val/acc", "val/loss"]},
            "speed": {"ü": ["speed"]},
        }


def test_without_a_layout_there_is_none(open_sink, logdir, reader):
    sink = open_sink()
    sink.metrics({"x": 1.0}, 1)
    sink.end()
    with reader(logdir) as opened:
        assert custom_scalars(opened, "run-a") == {}


def test_a_run_that_goes_on_has_the_layout_of_its_last_start(open_sink, logdir, reader):
    sink = open_sink(layout=LOSSES)
    sink.metrics({"x": 1.0}, 1)
    open_sink(sink.flush(), layout={"new": {"x": ["x"]}}).end()
    with reader(logdir) as opened:
        assert custom_scalars(opened, "run-a") == {"new": {"x": ["x"]}}


def test_the_charts_of_runs_that_share_a_logdir_are_together(open_sink, tmp_path, reader):
    shared = tmp_path / "shared"
    for name in ("a", "b"):
        run = SinkDriver.make_run(tmp_path / name, run_id=name)
        sink = open_sink(run=run, logdir=str(shared), layout={"all": {"same": ["x"], f"of {name}": ["x"]}})
        sink.metrics({"x": 1.0}, 1)
        sink.end()
    with reader(shared) as opened:
        assert custom_scalars(opened, "b") == {"all": {"same": ["x"], "of a": ["x"], "of b": ["x"]}}


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"a": {}}, "'a' has no charts"),
        ({"a": {"b": []}}, "'a', chart 'b': name at least one tag"),
        ({"a": {"b": [""]}}, "'a', chart 'b': name at least one tag"),
        ({"a": {"b": ["x", "(x"]}}, r"'\(x' is no regular expression: missing \)"),
        ({"a": ["x"]}, "layout"),
        ({"a": {"b": "x"}}, "layout"),
    ],
)
def test_a_layout_that_would_show_nothing_is_refused(layout, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert({"layout": layout}, TensorBoardOptions)
