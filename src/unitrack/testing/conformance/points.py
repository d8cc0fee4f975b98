"""Metrics: every point is there, at its own step, with its own value."""

from __future__ import annotations

import math
import random
import struct

import pytest

from unitrack.records import Metrics
from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.trial import Trial

STEPS: dict[str, list[int]] = {
    "from zero": [0, 1, 2, 3],
    "not from zero": [1000, 1001],
    "sparse": [0, 10, 10_000, 10_000_000],
    "backwards": [5, 4, 3, 2, 1, 0],
    "out of order": [3, 1, 4, 1, 5, 9, 2, 6],
    "repeated": [7, 7, 7, 8, 8],
    "one late point": [*range(50), 10],
    "the same range again": [*range(10), *range(5, 15)],
    "above 32 bits": [2**31 - 1, 2**31, 2**31 + 1, 2**32 + 1],
    "above 53 bits": [2**53 - 1, 2**53, 2**53 + 1],
    "the largest": [2**62, 2**63 - 1],
}

VALUES: dict[str, float] = {
    "0.1": 0.1,
    "a third": 1 / 3,
    "negative": -2.5,
    "zero": 0.0,
    "negative zero": -0.0,
    "integral": 3.0,
    "integral above 53 bits": 2.0**53 + 2,
    "epsilon above one": 1.0 + 2**-52,
    "small": 1e-300,
    "smallest normal": 2.2250738585072014e-308,
    "smallest subnormal": 5e-324,
    "a subnormal": 1.5e-310,
    "large": 1e300,
    "largest": 1.7976931348623157e308,
    "largest negative": -1.7976931348623157e308,
    "17 digits": 123456789.12345679,
}

NON_FINITE = {"nan": math.nan, "inf": math.inf, "negative inf": -math.inf}


class PointConformance(BackendTests):
    """Points at any step and of any value come back in the order of logging."""

    @pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
    def test_steps(self, trial: Trial, steps: list[int]) -> None:
        """Points at these steps, in one batch."""
        for number, step in enumerate(steps):
            trial.metrics({"loss": number / 8}, step)
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
    def test_steps_one_by_one(self, trial: Trial, steps: list[int]) -> None:
        """Points at these steps, each in a batch of its own."""
        for number, step in enumerate(steps):
            trial.metrics({"loss": number / 8}, step)
            trial.deliver()
        trial.end()
        self.check(trial)

    def test_interleaved_axes(self, trial: Trial) -> None:
        """Two metrics that count steps differently, batches and epochs, hide no points of each other."""
        for epoch in range(3):
            for batch in range(20):
                trial.metrics({"train/loss": batch / 16}, epoch * 20 + batch)
            trial.metrics({"eval/loss": epoch / 4, "eval/acc": 0.5}, epoch)
        trial.end()
        self.check(trial)

    def test_metrics_that_come_and_go(self, trial: Trial) -> None:
        """Each call logs other metrics."""
        for step in range(12):
            trial.metrics({f"m{step % 5}": 1.0, f"n{step % 3}": 2.0}, step)
        trial.end()
        self.check(trial)

    def test_a_point_logged_twice(self, trial: Trial) -> None:
        """Two calls with the same step and value give two points."""
        trial.metrics({"loss": 0.5}, 3)
        trial.metrics({"loss": 0.5}, 3)
        trial.end()
        self.check(trial)

    def test_points_of_one_millisecond(self, trial: Trial) -> None:
        """Many steps within one millisecond, as in a fast loop, are as many points."""
        records = [Metrics(seq=0, time=0, step=step, metrics={"loss": step / 4}) for step in range(50)]
        trial.log(*records, each_ms=False)
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_value(self, trial: Trial, value: float) -> None:
        """A value comes back bit for bit, or as the nearest float32 if `Backend.exact_floats` is false."""
        trial.metrics({"value": value}, 1)
        trial.end()
        self.check(trial)

    def test_values_of_random_bits(self, trial: Trial) -> None:
        """200 finite values of random bits, so of any exponent."""
        bits = random.Random(0)
        values = (struct.unpack("<d", bits.randbytes(8))[0] for _ in range(300))
        for step, value in enumerate([value for value in values if math.isfinite(value)][:200]):
            trial.metrics({"value": value}, step)
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("value", NON_FINITE.values(), ids=NON_FINITE)
    def test_non_finite_value(self, trial: Trial, value: float) -> None:
        """NaN and infinity come back as such, never as a large number."""
        trial.metrics({"value": value}, 1)
        trial.end()
        self.check(trial)

    def test_non_finite_among_finite(self, trial: Trial) -> None:
        """A curve with NaN and infinity does not harm another one in the same records."""
        curve = [1.0, math.inf, math.nan, -math.inf, math.nan, 0.5]
        for step, value in enumerate(curve):
            trial.metrics({"bad": value, "good": step / 2, "worse": math.nan}, step)
        trial.end()
        self.check(trial)

    def test_large_batch(self, trial: Trial) -> None:
        """5,000 records in one delivery."""
        for step in range(5000):
            trial.metrics({"loss": 1 / (step + 1)}, step)
        trial.end()
        self.check(trial)

    def test_wide_record(self, trial: Trial) -> None:
        """1,500 metrics in one call."""
        trial.metrics({f"layer/{number}/norm": number / 8 for number in range(1500)}, 1)
        trial.end()
        self.check(trial)

    def test_many_small_batches(self, trial: Trial) -> None:
        """40 points, with a commit after each."""
        for step in range(40):
            trial.metrics({"loss": step / 4}, step)
            trial.deliver()
        trial.end()
        self.check(trial)
