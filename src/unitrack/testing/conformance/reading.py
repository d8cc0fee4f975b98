"""The source of a backend with sinks: what it reads of runs that the sink wrote."""

from __future__ import annotations

import math

import pytest

from unitrack.hookspecs import RunSummary
from unitrack.records import Artifact, Metrics, RunEnd, RunStart
from unitrack.testing.conformance.base import BackendTests, MakeTrial
from unitrack.testing.conformance.comparing import spelled
from unitrack.testing.trial import Trial
from unitrack.testing.whole_run import Contents


class ReadBackConformance(BackendTests):
    """What a source promises besides the content of a run: order, identity, errors, and its shorter ways."""

    def test_runs_are_listed(self, make_trial: MakeTrial) -> None:
        """Runs are listed with name and start, under the ids of their links."""
        trials = [make_trial(name=f"run {number}") for number in range(3)]
        for trial in trials:
            trial.metrics({"loss": 1.0}, 1)
            trial.end()
        for trial in trials:
            listed = {start.run_id: start for start in self.source(trial.link).runs()}
            assert listed[trial.link.id].name == trial.start.name
            assert listed[trial.link.id].time == trial.start.time

    def test_a_run_is_found_by_its_id_in_unitrack(self, trial: Trial) -> None:
        """A run is found by the id that unitrack gave it, so that one id finds it in every backend."""
        trial.metrics({"loss": 1.0}, 1)
        trial.end()
        source = self.source(trial.link)
        assert list(source.records(trial.start.run_id)) == list(source.records(trial.link.id))

    def test_a_listed_run_knows_its_id_in_unitrack(self, trial: Trial) -> None:
        """The id that unitrack gave is `unitrack_id`, or `run_id` where the backend has that one."""
        trial.metrics({"loss": 1.0}, 1)
        trial.end()
        source = self.source(trial.link)
        for listed in (source.runs(), (start for start, _ in source.summaries())):
            [start] = [start for start in listed if start.run_id == trial.link.id]
            assert (start.unitrack_id or start.run_id) == trial.start.run_id

    def test_unknown_run_is_a_key_error(self, trial: Trial) -> None:
        """An unknown id raises `KeyError`, at the call or at the first record."""
        trial.end()
        source = self.source(trial.link)
        with pytest.raises(KeyError):
            list(source.records("0123456789abcdef0123456789abcdef"))

    def test_records_begin_and_end(self, trial: Trial) -> None:
        """The records of a run begin with its start and end with its end, once each."""
        trial.params({"lr": 0.1})
        trial.metrics({"loss": 1.0}, 1)
        trial.artifact("model.pt", b"weights")
        trial.end()
        records = list(self.records(trial.link))
        assert isinstance(records[0], RunStart)
        assert records[0].run_id in (trial.link.id, trial.start.run_id)
        assert isinstance(records[-1], RunEnd)
        assert sum(isinstance(record, RunStart | RunEnd) for record in records) == 2

    def test_a_run_that_goes_on_has_no_end(self, trial: Trial) -> None:
        """A run that has not ended has no end, if the backend can be read before it."""
        if self.backend.confirms == "end":
            pytest.skip("the backend confirms at the end only")
        trial.metrics({"loss": 1.0}, 1)
        trial.deliver()
        assert not any(isinstance(record, RunEnd) for record in self.records(trial.link))

    def test_reading_twice_gives_the_same(self, trial: Trial) -> None:
        """Reading twice gives the same records, with one source and with another one."""
        for step in (2, 1, 3):
            trial.metrics({"loss": step / 2}, step)
        trial.artifact("model.pt", b"weights")
        trial.end()
        source = self.source(trial.link)
        first = list(source.records(trial.link.id))
        assert first == list(source.records(trial.link.id)) == list(self.source(trial.link).records(trial.link.id))

    def test_artifact_records(self, trial: Trial) -> None:
        """Each artifact is there once, under its name, with its size in bytes."""
        trial.artifact("models/best.pt", b"weights")
        trial.artifact("report.txt", b"old")
        trial.artifact("report.txt", b"newer")
        trial.end()
        found = [record for record in self.records(trial.link) if isinstance(record, Artifact)]
        assert sorted((record.name, record.size) for record in found) == [("models/best.pt", 7), ("report.txt", 5)]

    def test_summary_is_what_the_records_come_to(self, trial: Trial) -> None:
        """`summary` gives what the records come to, for a run that goes on and for one that ended."""
        trial.params({"lr": 0.1, "model": {"depth": 4, "sizes": [1, 2]}, "empty": {}})
        trial.tags({"stage": "train"})
        for step, value in ((1, 0.5), (7, 0.25), (3, 0.125), (7, math.nan), (7, 4.0), (2, math.inf)):
            trial.metrics({"loss": value}, step)
        trial.metrics({"grad": math.inf}, 9)
        trial.metrics({"nan": math.nan, "grad": -math.inf}, 10)
        trial.params({"lr": 0.2})
        trial.deliver()
        if self.backend.confirms == "end":  # nothing has to be readable before
            trial.end("failed")
        for _ in range(2):
            records = list(self.records(trial.link))
            found = self.source(trial.link).summary(trial.link.id)
            expected = RunSummary.of(records)
            assert (found.params, found.tags) == (expected.params, expected.tags)
            assert (found.status, found.ended) == (expected.status, expected.ended)
            assert {name: repr(value) for name, value in found.last.items()} == {
                name: repr(value) for name, value in expected.last.items()
            }
            if found.status == "running":
                trial.end("failed")

    def test_history_is_what_the_records_hold(self, trial: Trial) -> None:
        """`history` gives the points of the metrics that were asked for, and no others."""
        for step, value in ((1, 0.5), (7, 0.25), (3, math.nan), (8, -math.inf)):
            trial.metrics({"loss": value, "val/acc": step / 16}, step)
            trial.metrics({"other": 1.0}, step)
        trial.end()
        source, run_id = self.source(trial.link), trial.link.id
        for names in (["loss"], ["loss", "val/acc"]):
            found = Contents()
            for record in source.history(run_id, names):
                found.add(record)
            held = self.read(trial)
            assert sorted(found.points) == names
            for name in names:
                assert spelled(found.points[name], exact=True) == spelled(held.points[name], exact=True)
                assert found.times[name] == held.times[name]
        assert list(source.history(run_id, ["none"])) == []

    def test_step_and_time_of_points(self, trial: Trial) -> None:
        """The time of each point comes back to the millisecond."""
        for step in range(5):
            trial.metrics({"loss": step / 2}, step)
        trial.end()
        points = [record for record in self.records(trial.link) if isinstance(record, Metrics)]
        times = [record.time for record in points if "loss" in record.values()]
        assert times == trial.logged.times["loss"]
