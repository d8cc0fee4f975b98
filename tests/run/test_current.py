"""Logging without a handle: which run is current, and the functions that log to it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path

import pytest

import unitrack
from unitrack.local.source import LocalSource
from unitrack.records import Metrics, Params
from unitrack.run.current import StartedRuns


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that other tests of this process have left open are not current here."""
    monkeypatch.setattr("unitrack.run.current.started", StartedRuns())


def losses(run: unitrack.Run) -> list[float]:
    found = LocalSource(str(run.path)).records(run.path.name)
    return [record.values()["loss"] for record in found if isinstance(record, Metrics)]


def start(name: str) -> unitrack.Run:
    return unitrack.start_run(name, sinks="local", delivery="inline")


def test_without_a_run_the_error_says_what_to_do(root: Path) -> None:
    assert unitrack.current_run() is None
    for call in (
        lambda: unitrack.log_metrics({"loss": 1}),
        lambda: unitrack.log({"loss": 1}),
        lambda: unitrack.log_params({"a": 1}),
        lambda: unitrack.log_artifact("a"),
        lambda: unitrack.log_environment(),
    ):
        with pytest.raises(unitrack.NoActiveRunError, match=r"^no current run: call unitrack.start_run\(\) first"):
            call()


def test_the_run_that_was_started_last_is_current(root: Path) -> None:
    with start("outer") as outer:
        unitrack.log_metrics({"loss": 1.0}, step=1)
        with start("inner") as inner:
            assert unitrack.current_run() is inner
            unitrack.log_metrics({"loss": 2.0})
        assert unitrack.current_run() is outer
        unitrack.log_metrics({"loss": 3.0})
        unitrack.log_params({"lr": 0.1})
        unitrack.log_text("a", "note.txt")
    assert unitrack.current_run() is None
    assert (losses(outer), losses(inner)) == ([1.0, 3.0], [2.0])
    assert (outer.path / "artifacts" / "note.txt").read_text(encoding="utf-8") == "a"


def test_runs_of_trackers_are_current_as_well(root: Path) -> None:
    tracker = unitrack.LocalExperimentTracker("runs")
    started = tracker.start_run("a")
    assert unitrack.current_run() is started.run
    tracker.end_run()
    assert unitrack.current_run() is None


def test_a_thread_has_its_own_run_or_that_of_the_process(root: Path) -> None:
    seen: dict[str, object] = {}

    def helper() -> None:
        seen["helper"] = unitrack.current_run()

    def own() -> None:
        with start("own") as run:
            seen["own"] = (unitrack.current_run(), run)
        seen["after"] = unitrack.current_run()

    with start("main") as main:
        for target in (helper, own):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        assert unitrack.current_run() is main
    assert seen["helper"] is main
    current, run = seen["own"]  # type: ignore[misc]
    assert current is run
    assert seen["after"] is None


def test_tasks_do_not_mix(root: Path) -> None:
    runs: dict[int, unitrack.Run] = {}

    async def work(number: int) -> None:
        with start(f"task-{number}") as run:
            runs[number] = run
            for _ in range(3):
                await asyncio.sleep(0)
                unitrack.log_metrics({"loss": number})

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(3)))

    asyncio.run(main())
    assert {number: losses(run) for number, run in runs.items()} == {n: [float(n)] * 3 for n in range(3)}


def test_each_method_that_logs_is_a_function_too() -> None:
    """With the same arguments, and help of its own."""
    methods = {name for name in dir(unitrack.Run) if name.startswith(("log_", "set_", "define_"))} | {"log"}
    for name in methods - {"log_environment"}:
        function, method = getattr(unitrack, name), getattr(unitrack.Run, name)
        assert name in unitrack.__all__
        assert list(inspect.signature(function).parameters) == list(inspect.signature(method).parameters)[1:]
        assert function.__doc__.startswith(f"Call `{name}` of the current run.")


def test_the_environment_goes_to_the_current_run_or_to_that_of_a_tracker(root: Path) -> None:
    with start("a") as run:
        unitrack.log_environment()
    [params] = [one for one in LocalSource(str(run.path)).records("a") if isinstance(one, Params)]
    assert params.params.keys() >= {"python_version", "platform", "git_hash", "packages"}
    assert params.params["packages"].keys() >= {"numpy", "pytest", "unitrack-core"}
