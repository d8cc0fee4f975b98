"""Resume: a run that ended goes on in another process, and stays one run."""

from __future__ import annotations

import pytest

from unitrack.records import RunStatus
from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.conformance.kinds import STATUSES
from unitrack.testing.trial import Trial


class ResumeConformance(BackendTests):
    """A resumed run has one curve for each metric, however often it was preempted."""

    @pytest.mark.parametrize("status", STATUSES)
    def test_resume_after(self, trial: Trial, status: RunStatus) -> None:
        """A run that ended with any status goes on and ends as finished."""
        trial.metrics({"loss": 1.0}, 0)
        trial.artifact("first.txt", b"1")
        trial.end(status)
        trial.resume()
        trial.metrics({"loss": 0.5}, 1)
        trial.artifact("second.txt", b"2")
        trial.end()
        self.check(trial)

    def test_resume_with_another_end(self, trial: Trial) -> None:
        """The last end of a run is the one that is read back."""
        trial.end("finished")
        trial.resume()
        trial.end("failed")
        self.check(trial)

    @pytest.mark.parametrize("description", ["what came of it", ""])
    def test_another_name_and_description(self, trial: Trial, description: str) -> None:
        """A run that was renamed, or got another description, has these alone, with everything that it had."""
        trial.metrics({"loss": 1.0}, 0)
        trial.artifact("first.txt", b"1")
        trial.end()
        trial.resume(description="a first note")
        trial.end()
        trial.resume(name="another / name", description=description)
        trial.tags({"stage": "done"})
        trial.end()
        self.check(trial)

    def test_resume_at_an_earlier_step(self, trial: Trial) -> None:
        """Training goes back to a checkpoint: the curve has no point twice, and other metrics do not change."""
        for step in range(10):
            trial.metrics({"loss": step / 4, "once": 1.0}, step)
        trial.end("killed")
        trial.resume()
        for step in range(6, 14):
            trial.metrics({"loss": step / 4 + 1}, step)
        trial.end()
        self.check(trial)

    def test_resume_behind_the_log_of_several_metrics(self, trial: Trial) -> None:
        """Each metric goes back to the first step at which it is logged again, also if its name is escaped."""
        for step in range(20):
            trial.metrics({"a//b": step / 2, "mean@1": step / 8} if step % 3 else {"a//b": step / 2}, step)
        trial.artifact("plot.txt", b"before", "text", step=3)
        trial.end("failed")
        trial.resume()
        for step in range(11, 15):
            trial.metrics({"a//b": -step / 2}, step)
            trial.deliver()
        trial.metrics({"mean@1": 7.0, "new": 1.0}, 13)
        trial.metrics({"mean@1": 8.0}, 21)
        trial.artifact("plot.txt", b"after", "text", step=13)
        trial.end()
        self.check(trial)

    def test_resume_behind_late_and_repeated_points(self, trial: Trial) -> None:
        """Points that were logged out of order are withdrawn by their steps."""
        for number, step in enumerate([0, 5, 2, 9, 2, 7, 3, 12]):
            trial.metrics({"loss": number / 4, "other": number / 8}, step)
        trial.end("killed")
        trial.resume()
        for number, step in enumerate([4, 3, 8, 6, 14, 13]):
            trial.metrics({"loss": 100 + number / 4}, step)
        trial.end()
        self.check(trial)

    def test_resume_behind_the_log_from_the_start(self, trial: Trial) -> None:
        """Training starts anew: the first curve is gone, unless the backend can't withdraw points."""
        for step in range(5):
            trial.metrics({"loss": float(step)}, step)
        trial.end("killed")
        trial.resume()
        for step in range(7):
            trial.metrics({"loss": -float(step)}, step)
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("commits", range(1, 4))
    def test_crash_after_resuming_behind_the_log(self, trial: Trial, commits: int) -> None:
        """Commits after a rewind are lost, so its points are delivered again."""
        for step in range(10):
            trial.metrics({"loss": step / 4}, step)
        trial.end("killed")
        trial.resume()
        for step in range(6, 9):
            trial.metrics({"loss": step / 4 + 1}, step)
            trial.deliver()
        trial.crash(commits=commits)
        trial.metrics({"loss": 0.5}, 9)
        trial.end()
        self.check(trial)

    def test_preempted_four_times(self, trial: Trial) -> None:
        """A run is preempted four times, and goes back to a checkpoint each time."""
        self._preempt_four_times(trial, deliver=True)
        self.check(trial)

    def test_preempted_four_times_and_then_delivered(self, trial: Trial) -> None:
        """The same while the backend is away: in the end it has one point for each step."""
        self._preempt_four_times(trial, deliver=False)
        self.check(trial)

    @staticmethod
    def _preempt_four_times(trial: Trial, *, deliver: bool) -> None:
        for attempt in range(5):
            trial.params({"attempt": attempt})
            for step in range(attempt * 3, attempt * 3 + 5):
                trial.metrics({"loss": step + attempt / 8}, step)
            trial.artifact("checkpoint.pt", f"of attempt {attempt}".encode())
            if attempt < 4:
                trial.end("killed") if deliver else trial.log_end("killed")
                trial.resume()
        trial.end()

    def test_resume_without_logging(self, trial: Trial) -> None:
        """A resumed run that logs nothing changes only its end."""
        trial.params({"lr": 0.1})
        trial.metrics({"loss": 1.0}, 0)
        trial.artifact("model.pt", b"weights")
        trial.end("killed")
        trial.resume()
        trial.end()
        self.check(trial)

    def test_crash_after_resuming(self, trial: Trial) -> None:
        """Commits after a resume are lost, so its records are delivered again."""
        trial.metrics({"loss": 1.0}, 0)
        trial.end("killed")
        trial.resume()
        trial.metrics({"loss": 0.5}, 1)
        trial.tags({"stage": "eval"})
        trial.deliver()
        trial.crash()
        trial.metrics({"loss": 0.25}, 2)
        trial.end()
        trial.crash(commits=1)
        trial.deliver()
        self.check(trial)

    def test_names_and_params_after_resuming(self, trial: Trial) -> None:
        """A resumed run goes on with the names, params and tags of before."""
        trial.metrics({"mean@1": 1.0, "Loss": 2.0}, 0)
        trial.params({"lr": 0.1, "same": "x"})
        trial.tags({"stage": "train"})
        trial.end("killed")
        trial.resume()
        trial.metrics({"loss": 3.0, "mean@1": 0.5}, 1)
        trial.params({"lr": 0.2, "same": "x"})
        trial.tags({"stage": "eval"})
        trial.end()
        self.check(trial)
