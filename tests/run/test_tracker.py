"""Trackers: active runs that don't mix, mistakes in the configuration, and trackers of one's own."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import math
import pickle
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

import unitrack
from unitrack import LocalExperimentTracker, Tracker
from unitrack.local.source import LocalSource
from unitrack.records import Metrics


def losses(run: unitrack.Run) -> list[float]:
    """The values of `loss` in the local files."""
    found = LocalSource(str(run.path)).records(run.path.name)
    return [record.values()["loss"] for record in found if isinstance(record, Metrics)]


def inline(root: Path) -> Tracker:
    """A tracker whose runs are delivered as they are logged."""
    return Tracker({"tracking": {"root": str(root), "delivery": "inline"}})


def test_nested_runs_of_one_tracker(root: Path) -> None:
    """Ending the inner one makes the outer one active again."""
    tracker = inline(root)
    outer = tracker.start_run("outer").run
    tracker.log_metrics({"loss": 1})
    inner = tracker.start_run("inner").run
    assert tracker.active_run is inner
    tracker.log_metrics({"loss": 2})
    tracker.end_run()
    assert tracker.active_run is outer
    tracker.log_metrics({"loss": 3})
    tracker.end_run()
    assert tracker.active_run is None
    assert losses(outer) == [1, 3]
    assert losses(inner) == [2]


def test_trackers_do_not_mix(root: Path) -> None:
    """Each has its own active run."""
    one, other = inline(root / "1"), inline(root / "2")
    first, second = one.start_run("a").run, other.start_run("a").run
    one.log_metrics({"loss": 1})
    other.log_metrics({"loss": 2})
    one.end_run()
    with pytest.raises(unitrack.NoActiveRunError):
        one.log_metrics({"loss": 3})
    other.log_metrics({"loss": 4})
    other.end_run()
    assert (losses(first), losses(second)) == ([1], [2, 4])


def test_threads_of_one_tracker_do_not_mix(root: Path) -> None:
    """Each thread logs to the run that it started; one whose run has ended has none."""
    tracker = inline(root)
    barrier = threading.Barrier(4)
    wrong: list[Any] = []
    runs: dict[int, unitrack.Run] = {}

    def work(number: int) -> None:
        runs[number] = tracker.start_run(f"thread-{number}").run
        barrier.wait()
        for _ in range(20):
            tracker.log_metrics({"loss": number})
        barrier.wait()
        if number % 2:
            tracker.end_run()
            try:
                tracker.log_metrics({"loss": -1})
                wrong.append(number)
            except unitrack.NoActiveRunError:
                pass
        barrier.wait()
        if not number % 2:
            tracker.end_run()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert {number: losses(run) for number, run in runs.items()} == {n: [n] * 20 for n in range(4)}


def test_a_helper_thread_logs_to_the_run_of_the_tracker(root: Path) -> None:
    """One that started none: a data loader, a callback."""
    tracker = inline(root)
    run = tracker.start_run("a").run
    thread = threading.Thread(target=lambda: tracker.log_metrics({"loss": 5}))
    thread.start()
    thread.join()
    tracker.end_run()
    assert losses(run) == [5]


def test_asyncio_tasks_of_one_tracker_do_not_mix(root: Path) -> None:
    """Each task has its own run, and inherits that of the one that started it until it starts its own."""
    tracker = inline(root)

    async def work(number: int) -> tuple[int, unitrack.Run]:
        tracker.log_metrics({"loss": 100 + number})
        run = tracker.start_run(f"task-{number}").run
        for _ in range(5):
            await asyncio.sleep(0)
            tracker.log_metrics({"loss": number})
        tracker.end_run()
        return number, run

    async def main() -> tuple[unitrack.Run, list[tuple[int, unitrack.Run]]]:
        outer = tracker.start_run("outer").run
        done = await asyncio.gather(*(work(number) for number in range(5)))
        tracker.log_metrics({"loss": 1})
        tracker.end_run()
        return outer, done

    outer, done = asyncio.run(main())
    assert losses(outer) == [100, 101, 102, 103, 104, 1]
    for number, run in done:
        assert losses(run) == [number] * 5


def test_a_mistake_in_the_configuration_raises_when_the_tracker_is_made(root: Path) -> None:
    """Not at its first run."""
    with pytest.raises(unitrack.ConfigError):
        Tracker({"traking": {}})


def test_the_mlflow_tracker_names_its_sink(root: Path) -> None:
    """It is a configuration of the same thing; without the plugin it says what to install."""
    tracker = unitrack.MLflowTracker("sqlite:///x.db", "digits")
    (sink,) = tracker._resolved.settings.sinks
    assert (sink.backend, sink.options["tracking_uri"]) == ("mlflow", "sqlite:///x.db")
    assert tracker._resolved.settings.experiment.project == "digits"


def test_what_start_run_returns_is_text(root: Path) -> None:
    """And ends the run as a context manager."""
    tracker = inline(root)
    with tracker.start_run("outer") as outer:
        assert type(str(outer)) is str
        assert outer == outer.run.id
        assert json.loads(json.dumps({"id": outer})) == {"id": outer.run.id}
        assert yaml.safe_load(yaml.safe_dump({"id": outer})) == {"id": outer.run.id}
        assert yaml.safe_load(yaml.dump([outer])) == [outer.run.id]
        assert Path("x") / outer == Path("x", outer.run.id)
        assert type(pickle.loads(pickle.dumps(outer))) is type(copy.deepcopy(outer)) is str
        with tracker.start_run("inner") as inner:
            tracker.log_params({"parent": outer})
            assert tracker.active_run is inner.run
        assert tracker.active_run is outer.run
        tracker.log_metrics({"loss": 1})
    assert tracker.active_run is None
    assert losses(outer.run) == [1]
    with pytest.raises(ZeroDivisionError), tracker.start_run("fails") as failing:
        _ = 1 / 0
    assert json.loads((failing.run.path / "metadata.json").read_text())["status"] == "failed"


def test_a_tracker_of_ones_own(root: Path) -> None:
    """What takes a tracker takes any that keeps the contract."""

    class Mine(unitrack.ExperimentTracker):
        def __init__(self) -> None:
            self.params: dict[str, Any] = {}
            self.files: list[str] = []

        def start_run(self, run_name: str | None = None) -> str:
            return run_name or "mine"

        def log_params(self, params: Any) -> None:
            self.params |= params

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            raise NotImplementedError

        def log_artifact(self, path: str, artifact_path: str | None = None) -> None:
            self.files.append(path)

        def end_run(self) -> None:
            raise NotImplementedError

    tracker = Mine()
    unitrack.log_environment(tracker)
    assert tracker.params.keys() >= {"python_version", "platform", "git_hash", "packages"}
    Path("a.bin").write_bytes(b"a")
    unitrack.safe_log_artifact(tracker, "a.bin")
    with open("large.bin", "wb") as file:
        file.truncate(unitrack.MAX_ARTIFACT_SIZE + 1)
    with pytest.raises(ValueError, match=r"^Artifact too large: 100\.0MB; large\.bin may have at most 104857600 bytes"):
        unitrack.safe_log_artifact(tracker, "large.bin")
    with pytest.raises(FileNotFoundError, match=r"Artifact not found: no\.bin"):
        unitrack.safe_log_artifact(tracker, "no.bin")
    assert tracker.files == ["a.bin"]
    with pytest.raises(TypeError, match="abstract"):
        unitrack.ExperimentTracker()  # type: ignore[abstract]
    assert isinstance(inline(root), unitrack.ExperimentTracker)


def test_validate_metric() -> None:
    assert unitrack.validate_metric("loss", 1) == 1.0
    for value, error in (("0.5", TypeError), (None, TypeError), (math.nan, ValueError), (math.inf, ValueError)):
        with pytest.raises(error, match="loss"):
            unitrack.validate_metric("loss", value)


def test_compare_experiments(root: Path) -> None:
    """The last value of each metric, though one line of the file has only some."""
    tracker = LocalExperimentTracker("experiments")
    for name in ("a", "b"):
        with tracker.start_run(name):
            tracker.log_params({"model": {"lr": 0.1}})
            tracker.log_metrics({"loss": 0.5, "acc": 0.25}, step=1)
            tracker.log_metrics({"loss": 0.25}, step=2)
    (root / "experiments" / "b" / "params.json").unlink()
    found = unitrack.compare_experiments(["experiments/a", root / "experiments" / "b", "experiments/none"])
    assert found == {
        "a": {"params": {"model": {"lr": 0.1}}, "final_metrics": {"loss": 0.25, "acc": 0.25}},
        "b": {"params": {}, "final_metrics": {"loss": 0.25, "acc": 0.25}},
    }
    with pytest.raises(TypeError, match="takes a list of run folders, got 'experiments/a'"):
        unitrack.compare_experiments("experiments/a")


def test_a_seed_that_is_written_seeds(root: Path) -> None:
    """Also one that equals the default, and also in a copy; the default itself does not."""
    drawn = []
    for config in (
        unitrack.ExperimentConfig("a", random_seed=42),
        dataclasses.replace(unitrack.ExperimentConfig("a", random_seed=42), project="p"),
        unitrack.ExperimentConfig("a"),
        dataclasses.replace(unitrack.ExperimentConfig("a"), project="p"),
    ):
        with unitrack.start_run(config=config, delivery="inline", root=root) as run:
            drawn.append(random.random())
        assert ("random_seed" in run.config) == (len(drawn) <= 2)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
