"""Failures: a call that fails, before or after it took effect, loses nothing and doubles nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal

import pytest

from unitrack.errors import RecordRejectedError, SinkUnavailableError
from unitrack.hookspecs import hookimpl
from unitrack.records import Metrics
from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.conformance.comparing import assert_same
from unitrack.testing.conformance.restarts import log_a_bit_of_all
from unitrack.testing.trial import Trial

HOOKS = ("open_run", "log_params", "log_metrics", "set_tags", "log_artifacts", "flush", "end_run")
TIMES = 2
"""How many calls fail."""


class Around:
    """A hook wrapper around every hook of a sink. Override `_pass`."""

    def _pass(self, hook: str) -> Generator[None, Any, Any]:
        """Pass a call to the sink, and return its answer."""
        return (yield)

    @hookimpl(wrapper=True)
    def open_run(self) -> Generator[None, Any, Any]:
        """Wrap `open_run`."""
        return (yield from self._pass("open_run"))

    @hookimpl(wrapper=True)
    def log_params(self) -> Generator[None, Any, Any]:
        """Wrap `log_params`."""
        return (yield from self._pass("log_params"))

    @hookimpl(wrapper=True)
    def log_metrics(self) -> Generator[None, Any, Any]:
        """Wrap `log_metrics`."""
        return (yield from self._pass("log_metrics"))

    @hookimpl(wrapper=True)
    def set_tags(self) -> Generator[None, Any, Any]:
        """Wrap `set_tags`."""
        return (yield from self._pass("set_tags"))

    @hookimpl(wrapper=True)
    def log_artifacts(self) -> Generator[None, Any, Any]:
        """Wrap `log_artifacts`."""
        return (yield from self._pass("log_artifacts"))

    @hookimpl(wrapper=True)
    def flush(self) -> Generator[None, Any, Any]:
        """Wrap `flush`."""
        return (yield from self._pass("flush"))

    @hookimpl(wrapper=True)
    def end_run(self) -> Generator[None, Any, Any]:
        """Wrap `end_run`."""
        return (yield from self._pass("end_run"))


class Between(Around):
    """Runs a function before or after the first `times` calls of a hook."""

    def __init__(
        self,
        hook: str,
        *,
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
        times: int = TIMES,
    ) -> None:
        self.hook = hook
        self.before = before
        self.after = after
        self.left = {"before": times if before else 0, "after": times if after else 0}

    def _do(self, when: str, what: Callable[[], None] | None) -> None:
        if what is not None and self.left[when]:
            self.left[when] -= 1
            what()

    def _pass(self, hook: str) -> Generator[None, Any, Any]:
        if hook == self.hook:
            self._do("before", self.before)
        result = yield
        if hook == self.hook:
            self._do("after", self.after)
        return result


class EachNth(Around):
    """A store that fails at each n-th call of any hook, before or after the call took effect."""

    def __init__(self, n: int, when: Literal["before", "after"]) -> None:
        self._n = n
        self._when = when
        self._calls = 0
        self.failures = 0

    def _pass(self, hook: str) -> Generator[None, Any, Any]:
        self._calls += 1
        fails = self._calls % self._n == 0
        self.failures += fails
        if fails and self._when == "before":
            raise SinkUnavailableError(f"503 to each call of {self._n}")
        result = yield
        if fails:
            raise SinkUnavailableError(f"503 to each call of {self._n}, after it took effect")
        return result


class Poison:
    """Refuses each batch that holds the metric "poison" as a whole, as a sink does; the lane then halves the batch."""

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Iterator[None]:
        """Raise before the sink gets anything of the batch."""
        if any("poison" in record.values() for record in metrics):
            raise RecordRejectedError("poison")
        return (yield)


class TroubleConformance(BackendTests):
    """Failures of the network and of the store, and records that are refused."""

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("hook", HOOKS)
    def test_call_lost(self, trial: Trial, hook: str, when: Literal["before", "after"]) -> None:
        """A call is lost before it reaches the store, or its answer is lost after it took effect."""

        def fail() -> None:
            raise SinkUnavailableError("the network")

        # What the sink has taken is not handed to it again.
        trouble = Between(hook, before=fail) if when == "before" else Between(hook, after=fail, times=1)
        trial.interpose(trouble)
        log_a_bit_of_all(trial, 0)
        trial.deliver(tries=TIMES)
        log_a_bit_of_all(trial, 1)
        trial.log_end()
        trial.deliver(tries=TIMES)
        assert trouble.left == {"before": 0, "after": 0}
        self.check(trial)

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("n", [2, 3, 5, 8])
    def test_each_nth_call_fails(self, trial: Trial, n: int, when: Literal["before", "after"]) -> None:
        """Each n-th call fails for good: what was accepted stays, so everything arrives without a pause."""
        trouble = EachNth(n, when)
        trial.interpose(trouble)
        for number in range(3):
            log_a_bit_of_all(trial, number)
            trial.deliver()
        trial.log_end()
        trial.deliver()
        assert trouble.failures >= 2
        assert trial.ledger.attempts == 0
        self.check(trial)

    @pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "end_run"])
    def test_slow_call(self, trial: Trial, hook: str) -> None:
        """Training logs on during a slow call: what it logs arrives too, once and in order."""
        rounds = itertools.count(1)

        def train() -> None:
            log_a_bit_of_all(trial, next(rounds))

        slow = Between(hook, before=train, after=train, times=1)
        trial.interpose(slow)
        log_a_bit_of_all(trial, 0)
        trial.deliver()
        assert slow.left == {"before": 0, "after": 0}
        trial.end()
        self.check(trial)

    def test_slow_from_start_to_end(self, trial: Trial) -> None:
        """A run ends before the store has opened it, and the courier stops in between."""

        def train() -> None:
            for number in range(1, 4):
                log_a_bit_of_all(trial, number)
            trial.log_end()

        trial.interpose(Between("open_run", before=train, times=1))
        log_a_bit_of_all(trial, 0)
        trial.step()
        trial.step()
        trial.crash()
        trial.deliver()
        self.check(trial)

    def test_poison_among_good_records(self, trial: Trial) -> None:
        """One record that is refused becomes a dead letter; all others arrive."""
        trial.interpose(Poison())
        for step in range(20):
            trial.metrics({"loss": step / 4}, step)
            if step == 13:
                trial.metrics({"poison": 1.0}, step)
        trial.log_end()
        trial.deliver(tries=TIMES)
        assert trial.ledger.dead_lettered == 1
        del trial.logged.points["poison"]
        assert_same(self.read(trial), trial.logged, exact_floats=self.backend.exact_floats)

    @pytest.mark.parametrize("when", ["at the start", "midway", "at the end"])
    def test_outage(self, trial: Trial, when: str) -> None:
        """The store fails and recovers: the lane waits, nothing is lost, and nothing becomes a dead letter."""
        outage = self.outage(trial)
        if outage is None:
            pytest.skip("the suite was given no way to make the store fail")
        if when != "at the start":
            log_a_bit_of_all(trial, 0)
            trial.deliver()
            trial.crash()
        with outage:
            log_a_bit_of_all(trial, 1)
            if when == "at the end":
                trial.log_end()
            with pytest.raises(AssertionError, match="the sink fails"):
                trial.deliver()
            assert trial.ledger.state in ("retrying", "parked")
        if when != "at the end":
            trial.log_end()
        trial.retry_now()
        trial.deliver()
        self.check(trial)
