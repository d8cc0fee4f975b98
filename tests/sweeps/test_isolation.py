"""Trials in processes: one that hangs is ended, one whose process is killed is tried once more, the others go on."""

import os
import signal
import time

import pytest

import unitrack

pytest.importorskip("optuna")
pytest.importorskip("loky")


def test_a_trial_that_hangs_fails_and_one_that_is_killed_is_tried_once_more(tmp_path):
    killed = str(tmp_path / "killed")

    def train(x):
        unitrack.log_metrics({"loss": float(x)}, step=0)
        if x == 2 and not os.path.exists(killed):
            open(killed, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if x == 3:
            time.sleep(300)
        return x

    begun = time.monotonic()
    result = unitrack.sweep(
        train,
        {"x": [1, 2, 3, 4]},
        strategy="grid",
        workers=2,
        trial_timeout=8,
        root=tmp_path / "runs",
        sinks="local",
        config={"tracking": {"delivery": "inline"}},
        progress=False,
    )
    assert time.monotonic() - begun < 120
    assert {one.params["x"]: one.status for one in result} == {
        1: "finished", 2: "finished", 3: "failed", 4: "finished"
    }  # fmt: skip
    hung = result.failed[0]
    assert hung.error == "it took longer than trial_timeout=8 seconds"
    assert "in train" in hung.traceback
    assert not list((tmp_path / "runs/.sweeps" / result.name / "trials").iterdir())


def square(x):
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def test_an_executor_that_breaks_and_can_not_be_made_anew_ends_the_sweep_which_goes_on_later(tmp_path):
    options = {"strategy": "grid", "name": "s", "root": tmp_path, "sinks": "local", "progress": False}
    options["config"] = {"tracking": {"delivery": "inline"}}

    def ends_itself(x):
        return square(x)

    import loky

    with loky.ProcessPoolExecutor(1) as executor, pytest.raises(unitrack.SweepError, match="takes no more work"):
        unitrack.sweep(ends_itself, {"x": [1, 2, 3]}, executor=executor, **options)
    result = unitrack.sweep(lambda x: x * x, {"x": [1, 2, 3]}, **options)
    assert [one.value for one in sorted(result, key=lambda one: one.params["x"])] == [1, 4, 9]


def test_a_function_that_makes_an_executor_makes_another_when_one_breaks(tmp_path):
    import loky

    made = []

    def make():
        made.append(loky.ProcessPoolExecutor(1))
        return made[-1]

    def ends_itself(x):
        return square(x)

    result = unitrack.sweep(
        ends_itself,
        {"x": [1, 2, 3]},
        strategy="grid",
        executor=make,
        retries=0,
        root=tmp_path,
        sinks="local",
        config={"tracking": {"delivery": "inline"}},
        progress=False,
    )
    assert {one.params["x"]: one.status for one in result} == {1: "finished", 2: "failed", 3: "finished"}
    assert result.failed[0].error == "its process died: it was killed, or ran out of memory"
    assert len(made) == 2
