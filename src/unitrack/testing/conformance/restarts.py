"""Redelivery: wherever a courier dies, everything is there once in the end."""

from __future__ import annotations

import pytest

from unitrack.delivery.lane.progress import Progress
from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.trial import Trial

LANE_STEPS = 22
"""At most this many steps takes a lane for two parts of `log_a_bit_of_all`."""


def log_a_bit_of_all(trial: Trial, part: int) -> None:
    """Log params, tags, points in and out of order, a new file and one that replaces another."""
    trial.params({f"p{part}": part, "changes": part, "same": "x"})
    for step in (10 * part, 10 * part + 1, 3, 10 * part + 2):
        trial.metrics({"loss": step / 4 + part, f"only/{part}": 1.0}, step)
    trial.tags({"part": str(part), f"t{part}": "x"})
    trial.artifact(f"part{part}.txt", f"part {part}".encode(), "text", step=part)
    trial.artifact("replaced.txt", f"by part {part}".encode())


class RestartConformance(BackendTests):
    """Crashes before and after each commit."""

    @pytest.mark.parametrize("steps", range(0, LANE_STEPS, 3))
    def test_restart_after_lane_steps(self, trial: Trial, steps: int) -> None:
        """The courier dies between two steps of the lane: a batch, a commit, a read or the end."""
        for part in range(2):
            log_a_bit_of_all(trial, part)
        trial.log_end()
        for _ in range(steps):
            if trial.step() is Progress.DONE:
                break
        trial.crash()
        trial.deliver()
        self.check(trial)

    @pytest.mark.parametrize("lost", [1, 2, 3, 4])
    def test_commits_lost(self, trial: Trial, lost: int) -> None:
        """Commits are lost after their flush, as when the courier dies or the ledger can't be written."""
        for part in range(3):
            log_a_bit_of_all(trial, part)
            trial.deliver()
        trial.crash(commits=lost)
        log_a_bit_of_all(trial, 3)
        trial.end()
        self.check(trial)

    def test_every_commit_lost_once(self, trial: Trial) -> None:
        """Every commit is lost once, so each batch is delivered twice."""
        for part in range(4):
            log_a_bit_of_all(trial, part)
            trial.deliver()
            trial.crash(commits=1)
            trial.deliver()
        trial.end()
        self.check(trial)

    def test_two_crashes_at_one_place(self, trial: Trial) -> None:
        """A batch whose commit is lost twice is delivered three times."""
        log_a_bit_of_all(trial, 0)
        trial.deliver()
        log_a_bit_of_all(trial, 1)
        for _ in range(2):
            trial.deliver()
            trial.crash(commits=1)
        trial.end()
        self.check(trial)

    def test_clean_restarts(self, trial: Trial) -> None:
        """A courier stops after a commit, and another one goes on."""
        for part in range(3):
            log_a_bit_of_all(trial, part)
            trial.deliver()
            trial.crash()
        trial.end()
        self.check(trial)

    def test_end_not_committed(self, trial: Trial) -> None:
        """The commit of the end is lost, so the run ends again."""
        log_a_bit_of_all(trial, 0)
        trial.end("failed")
        trial.crash(commits=1)
        trial.deliver()
        self.check(trial)

    def test_nothing_was_ever_committed(self, trial: Trial) -> None:
        """All commits are lost, so the whole run is delivered again over what it left."""
        for part in range(2):
            log_a_bit_of_all(trial, part)
            trial.deliver()
        trial.end()
        trial.crash(commits=100)
        trial.deliver()
        self.check(trial)

    def test_crash_right_after_opening(self, trial: Trial) -> None:
        """A crash right after opening, three times, leaves one run."""
        for _ in range(3):
            trial.deliver()
            trial.crash(commits=100)
        log_a_bit_of_all(trial, 0)
        trial.end()
        self.check(trial)

    def test_a_rollback_followed_by_params_only(self, trial: Trial) -> None:
        """After a rollback the next flush does not count what a crash left beyond the checkpoint."""
        trial.metrics({"loss": 1.0}, 0)
        trial.deliver()
        trial.metrics({"loss": 2.0}, 1)
        trial.deliver()
        trial.crash(commits=1)
        trial.deliver()
        trial.crash()
        trial.params({"lr": 0.1})
        trial.deliver()
        trial.crash()
        trial.metrics({"loss": 3.0}, 2)
        trial.end()
        self.check(trial)

    def test_large_batch_delivered_twice(self, trial: Trial) -> None:
        """3,000 points are delivered twice."""
        for step in range(3000):
            trial.metrics({"loss": step / 8, "acc": step / 16}, step)
        trial.deliver()
        trial.crash(commits=1)
        trial.end()
        self.check(trial)

    def test_non_finite_delivered_twice(self, trial: Trial) -> None:
        """NaN and infinity are there once too, in whatever form the backend holds them."""
        for step, value in enumerate((float("nan"), float("inf"), 1.0, float("-inf"), float("nan"))):
            trial.metrics({"loss": value}, step)
        trial.deliver()
        trial.crash(commits=1)
        trial.end()
        self.check(trial)
