"""A resume behind the log: both of TensorBoard's readers show one curve, and nothing else is touched."""

from __future__ import annotations

import pytest
from tensorboard_readers import images, png, points, sourced

LATE = [(0, 0.1), (5, 1.0), (2, 2.0), (9, 3.0), (2, 4.0), (7, 5.0)]
"""(step, value): two of them came late, one twice."""


@pytest.fixture
def behind(open_sink):
    """A run that was delivered up to step 9 and is taken up at step 4; gives the sink and the checkpoint before."""
    sink = open_sink()
    for step, value in LATE:
        sink.metrics({"loss": value, "lr": value / 2}, step)
    sink.artifact("a.png", png(4, 3), "image", step=8)
    checkpoint = sink.flush()
    sink.hooks.rewind(steps={"loss": 4})
    return sink, checkpoint


def test_both_readers_show_one_curve(behind, reader, logdir):
    sink, _ = behind
    for step in range(4, 12):
        sink.metrics({"loss": 100.0 + step}, step)
    sink.end()
    stays = [(0, 0.1), (2, 2.0), (2, 4.0)]
    anew = [(step, 100.0 + step) for step in range(4, 12)]
    with reader(logdir) as opened:
        found = points(opened)
        assert [(step, round(value, 5)) for step, value in found["loss"]] == sorted(stays + anew)
        assert len(found["lr"]) == len(LATE)
        assert [step for step, *_ in images(opened, "run-a")["a.png"]] == [8]
    assert sourced(logdir)["loss"] == stays + anew
    assert sourced(logdir)["lr"] == [(step, value / 2) for step, value in LATE]


@pytest.mark.parametrize("flushed", [False, True], ids=["before the flush", "before the commit"])
def test_a_crash_puts_back_what_was_withdrawn(behind, open_sink, logdir, flushed):
    sink, checkpoint = behind
    sink.metrics({"loss": 50.0}, 4)
    sink.hooks.rewind(steps={"lr": 0})
    if flushed:
        sink.flush()
    again = open_sink(checkpoint)
    assert sourced(logdir)["loss"] == LATE
    assert sourced(logdir)["lr"] == [(step, value / 2) for step, value in LATE]
    again.hooks.rewind(steps={"loss": 8})
    again.metrics({"loss": 6.0}, 8)
    again.end()
    assert sourced(logdir)["loss"] == [*(point for point in LATE if point[0] < 8), (8, 6.0)]


def test_nothing_is_left_aside_at_the_end(behind, run):
    sink, _ = behind
    assert list(run.notes.iterdir())
    sink.end()
    assert not list(run.notes.iterdir())
