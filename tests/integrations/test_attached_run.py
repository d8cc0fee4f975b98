"""Which run an integration logs to, and who ends it: with a framework that is a function."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import pytest
from unitrack_tests.toy_framework import fit

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.testing import IntegrationContract, recorded


class ToyCallback:
    """An integration, as short as one can be."""

    def __init__(self, run: unitrack.Run | None = None, **start: Any) -> None:
        self.attached = AttachedRun("unitrack_tests", run, **start)

    def on_begin(self, settings: dict[str, Any]) -> None:
        self.attached.begin({"fit": settings})

    def on_step(self, step: int, metrics: dict[str, float]) -> None:
        self.attached.run.log_metrics(metrics, step)

    def on_end(self) -> None:
        self.attached.finish()


def raising(error: BaseException | None) -> Any:
    def at_step(step: int) -> None:
        if step == 1 and error is not None:
            raise error

    return at_step


class TestToy(IntegrationContract):
    """The contract itself."""

    params: ClassVar = {"fit.steps": 3}

    def make(self, **start: Any) -> ToyCallback:
        return ToyCallback(**start)

    def train(self, logger: ToyCallback, *, interrupt: BaseException | None = None) -> Any:
        return {"loss": list(enumerate(fit(3, [logger], raising(interrupt))["loss"]))}

    def train_until_stopped(self, logger: ToyCallback) -> Any:
        return {"loss": list(enumerate(fit(9, [logger], stop_below=0.3)["loss"]))}


def test_a_run_that_is_given_goes_before_the_current_one() -> None:
    with recorded() as runs, unitrack.start_run("given") as given, unitrack.start_run("current"):
        fit(2, [ToyCallback(given)])
        assert not given.has_ended
    assert [len(run.points) for run in runs] == [1, 0]


def test_wrong_arguments_are_refused_at_once() -> None:
    """Not when training begins, which may be an hour later."""
    with pytest.raises(TypeError, match=r"run must be a unitrack\.Run, got str 'mine'; for its name, pass name='mine'"):
        ToyCallback("mine")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no argument 'projct'; did you mean 'project'"):
        ToyCallback(projct="digits")


def test_nan_is_kept_with_a_warning() -> None:
    with recorded() as runs, unitrack.start_run(), pytest.warns(UserWarning, match="'norm' is nan at step 0"):
        ToyCallback().on_step(0, {"norm": math.nan})
    assert math.isnan(runs[0].values("norm")[0])


def test_params_that_a_run_refuses_are_left_out(root: Path) -> None:
    """The others are there."""
    (root / "unitrack.yaml").write_text("safeguards: {max_param_bytes: 100}")
    callback = ToyCallback()
    with recorded() as runs:
        with pytest.warns(UserWarning, match=r"not logged: \{'fit.inner.long'"):
            callback.on_begin({"steps": 2, "inner": {"long": "x" * 200, "short": 1}})
        callback.on_end()
    assert runs[0].params == {"fit.steps": 2, "fit.inner.short": 1}


def test_the_configuration_says_what_happens_to_nan(root: Path) -> None:
    (root / "unitrack.yaml").write_text("safeguards: {non_finite: raise}")
    with recorded(), unitrack.start_run(), pytest.raises(unitrack.InvalidValueError, match="is NaN"):
        ToyCallback().on_step(0, {"norm": math.nan})


def test_a_training_within_another_one_logs_to_the_same_run() -> None:
    """The outer one has not ended, although it has not said so yet."""
    with recorded() as runs:
        fit(2, [ToyCallback()], lambda step: fit(1, [Inner()]) and None)
    [run] = runs
    assert run.points["inner"] == [(0, 1.0), (0, 1.0)]


class Inner(ToyCallback):
    def on_step(self, step: int, metrics: dict[str, float]) -> None:
        super().on_step(step, {"inner": metrics["loss"]})


def test_in_another_process_it_logs_to_the_same_run_and_leaves_it_open() -> None:
    """Here the other process is this one."""
    with recorded() as runs:
        callback = ToyCallback()
        callback.on_begin({})
        other = pickle.loads(pickle.dumps(callback))
        assert other.attached.run.id == callback.attached.run.id
        other.on_end()
        assert runs[0].status == "running"
        callback.on_end()
    assert [run.status for run in runs] == ["finished"]


@pytest.mark.parametrize(
    ("raised", "status"), [("ValueError()", "failed"), ("KeyboardInterrupt()", "killed"), (None, "finished")]
)
def test_at_exit(raised: str | None, status: str, root: Path) -> None:
    """A program that trains once: its run says how it ended."""
    program = f"""
        from test_attached_run import ToyCallback, raising
        from unitrack_tests.toy_framework import fit

        fit(3, [ToyCallback(delivery="inline")], raising({raised}))
        """
    (root / "program.py").write_text(textwrap.dedent(program))
    here = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import runpy; runpy.run_path('program.py')"
    subprocess.run([sys.executable, "-c", here], capture_output=True, timeout=60)
    [run] = unitrack.runs("experiments")
    assert run.status == status


def test_a_run_that_is_left_gets_what_is_reported_later() -> None:
    """And ends, as finished, when the next training begins."""
    one, other = AttachedRun("unitrack_tests"), AttachedRun("unitrack_tests")
    with recorded() as runs:
        one.begin()
        one.leave()
        one.run.log_metrics({"test": 0.5})
        assert runs[0].status == "running"
        other.begin()
        other.finish()
        assert [run.status for run in runs] == ["finished", "finished"]
    assert runs[0].values("test") == [0.5]


def test_a_run_that_is_left_is_not_ended_by_others_than_its_owner() -> None:
    with recorded(), unitrack.start_run() as run:
        attached = AttachedRun("unitrack_tests")
        attached.begin()
        attached.leave()
        AttachedRun("unitrack_tests").begin()
        assert not run.has_ended
        assert attached.run is run


@pytest.mark.parametrize(
    ("error", "status"), [(None, "finished"), (ValueError(), "failed"), (KeyboardInterrupt(), "killed")]
)
def test_a_run_that_ends_in_a_finally_block(error: BaseException | None, status: str) -> None:
    """By what the block is left with."""
    attached = AttachedRun(None)
    with recorded() as runs:
        try:
            attached.begin()
            if error is not None:
                raise error
        except (ValueError, KeyboardInterrupt):
            attached.finish(None)
        attached.finish(None)
    assert [run.status for run in runs] == [status]


def test_a_run_of_the_user_s_own_loop() -> None:
    """Stays open until it is finished: no function of a framework ends with it."""
    with recorded() as runs:
        loop = AttachedRun(None)
        loop.begin()
        AttachedRun("unitrack_tests").begin()
        assert runs[0].status == "running"
        loop.finish()
    assert [run.status for run in runs] == ["finished"]
