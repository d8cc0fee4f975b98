"""The contract of integrations: what a callback or logger of a framework has to do, as a pytest class.

A test file subclasses `IntegrationContract`, for a framework that trains one run, and says how that is done::

    class TestMine(IntegrationContract):
        params = {"lr": 0.1}

        def make(self, **start):
            return UnitrackCallback(**start)

        def train(self, logger, *, interrupt=None):
            history = fit(steps=3, callbacks=[logger, RaisesAtStep(1, interrupt)])
            return {"loss": list(enumerate(history["loss"]))}

The real framework trains something small on the CPU, without a network.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from unitrack.run.start import start_run
from unitrack.testing.recording import Recording, Recordings, recorded

Points = Mapping[str, list[tuple[int, float]]]
"""By metric: steps and values."""


class Trouble(Exception):
    """An error of the user's own, in the middle of training."""


class IntegrationContract:
    """The tests. A subclass must define `make` and `train`; the other members it may override."""

    params: ClassVar[Mapping[str, Any]] = {}
    """Some of the params that the run must have, by dotted name."""
    other_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that the integration may log beside those that `train` returns."""
    ends_late: ClassVar[bool] = False
    """Whether the end of a training that is stopped early shows only when the next one begins."""
    pickles: ClassVar[bool] = True
    """Whether the framework asks that its callback or logger can be pickled."""

    def make(self, **start: Any) -> Any:
        """Return the integration's callback or logger, with the arguments of `start_run` for a run of its own."""
        raise NotImplementedError

    def train(self, logger: Any, *, interrupt: BaseException | None = None) -> Points:
        """Train with the logger, and return every metric that the framework has reported, as it knows them itself.

        At least two steps. `interrupt` is raised by the user's code during training, after the first metrics.
        """
        raise NotImplementedError

    def train_until_stopped(self, logger: Any) -> Points:
        """Train until the framework's own early stopping ends it. Without it, the test is skipped."""
        pytest.skip("the framework has no early stopping")

    # -- the tests ----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def runs(self) -> Iterator[Recordings]:
        """The runs that are recorded during the test."""
        with recorded() as runs:
            yield runs

    def check(self, run: Recording, reported: Points, status: str = "finished") -> None:
        """Assert that a run has each point that was reported, at its step, and no other one."""
        assert run.status == status
        found = {name: points for name, points in run.points.items() if name not in self.other_metrics}
        assert found == {name: [(step, float(value)) for step, value in points] for name, points in reported.items()}

    def test_each_metric_arrives_at_its_step(self, runs: Recordings) -> None:
        """In a run of its own, which ends with the training."""
        reported = self.train(self.make(name="mine"))
        assert max(len(points) for points in reported.values()) > 1
        [run] = runs
        self.check(run, reported)
        assert run.name == "mine"

    def test_the_configuration_becomes_params(self, runs: Recordings) -> None:
        """By dotted name."""
        self.train(self.make())
        assert {name: runs[0].params.get(name) for name in self.params} == self.params

    def test_the_current_run_is_used_and_left_open(self, runs: Recordings) -> None:
        """The user's own run goes on after the training."""
        with start_run("outer") as outer:
            reported = self.train(self.make())
            assert not outer.has_ended
        [run] = runs
        self.check(run, reported)
        assert run.name == "outer"

    def test_each_training_is_a_run(self, runs: Recordings) -> None:
        """Two one after the other."""
        reported = [self.train(self.make()), self.train(self.make())]
        for run, points in zip(runs, reported, strict=True):
            self.check(run, points)

    def test_training_that_raises(self, runs: Recordings) -> None:
        """Its run has failed, and the next training gets another one."""
        with pytest.raises(Trouble):
            self.train(self.make(), interrupt=Trouble())
        reported = self.train(self.make())
        failed, finished = runs
        assert failed.status == "failed"
        assert failed.points
        self.check(finished, reported)

    def test_ctrl_c(self, runs: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its run was killed. The interpreter remembers an exception that nothing has caught."""
        with pytest.raises(KeyboardInterrupt) as caught:
            self.train(self.make(), interrupt=KeyboardInterrupt())
        monkeypatch.setattr("sys.last_value", caught.value, raising=False)
        reported = self.train(self.make())
        killed, finished = runs
        assert killed.status == "killed"
        self.check(finished, reported)

    def test_training_that_raises_in_the_current_run(self, runs: Recordings) -> None:
        """The `with` block says how it ended."""
        with pytest.raises(Trouble), start_run():
            self.train(self.make(), interrupt=Trouble())
        [run] = runs
        assert run.status == "failed"

    def test_early_stopping(self, runs: Recordings) -> None:
        """It is a normal end, and the last step is there."""
        reported = self.train_until_stopped(self.make())
        if self.ends_late:
            self.train(self.make())
        self.check(runs[0], reported)

    def test_another_rank_logs_nothing(self, runs: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
        """And trains as the first one does."""
        monkeypatch.setenv("UNITRACK_RANK", "1")
        assert self.train(self.make())
        assert not len(runs)

    def test_it_can_be_pickled(self, runs: Recordings) -> None:
        """As frameworks do that start processes, and as `copy.deepcopy` does."""
        if not self.pickles:
            pytest.skip("nothing pickles it")
        for one in (pickle.loads(pickle.dumps(self.make())), copy.deepcopy(self.make())):
            self.check(runs[-1] if (reported := self.train(one)) else runs[0], reported)
        assert len(runs) == 2
