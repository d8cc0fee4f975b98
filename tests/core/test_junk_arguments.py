"""Whatever a call is given, it takes it or raises an error of unitrack's own that says something."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unitrack

JUNK: list[Any] = [
    *(None, 5, -1, 2.5, float("nan"), "x", "", b"x", "\ud800", "a\x00b", True, 1j, 10**400),
    *([], [1], ["a", None], [[1, 2], [3]], [{}], [{"a": 1}, {"b": 2}], (1, 2), set(), {"a"}, range(3), slice(1)),
    *({}, {1: 2}, {None: 1}, {"a": "x"}, {"a": {"b": [1]}}, {"a": object()}),
    *(object(), type, print, datetime.datetime(2026, 1, 1), np.zeros(3), np.array(["a"])),
]


class Drawing:
    """What a figure is asked for."""

    def savefig(self, buffer: Any, **options: object) -> None:
        buffer.write(b"drawing")


GOOD: dict[str, Any] = {
    "content": {},
    "figure": Drawing(),
    "folder": "folder",
    "html": "<p>",
    "image": np.zeros((2, 2)),
    "metrics": {"a": 1.0},
    "model": "folder",
    "name": "n",
    "params": {"a": 1},
    "path": "folder",
    "root": "folder",
    "sound": np.zeros(4),
    "step": 1,
    "table": [{"a": 1}],
    "tags": {"a": 1},
    "text": "t",
    "value": 1.0,
    "values": {"a": 1.0},
    "video": np.zeros((2, 2, 2)),
}
OWN_GOOD: dict[str, dict[str, Any]] = {"log_histogram": {"values": [1.0, 2.0]}}
METHODS = sorted(name for name in dir(unitrack.Run) if name.startswith(("log", "set_", "define_", "load_")))


def arguments_of(method: str) -> list[str]:
    return list(inspect.signature(getattr(unitrack.Run, method)).parameters)[1:]


def tried(call: Callable[[], object], described: str) -> None:
    try:
        call()
    except unitrack.UnitrackError as error:
        if not str(error):
            pytest.fail(f"{described}: an error without a message")
    except Exception as error:
        pytest.fail(f"{described}: {type(error).__name__}: {error}")


@pytest.fixture
def run(root: Path) -> unitrack.Run:
    (root / "folder").mkdir()
    (root / "folder" / "a.py").write_text("a", encoding="utf-8")
    return unitrack.start_run("a", sinks="local", delivery="inline")


@pytest.mark.filterwarnings("ignore:left out of folder")
@pytest.mark.parametrize(("method", "argument"), [(name, one) for name in METHODS for one in arguments_of(name)])
def test_log_calls(run: unitrack.Run, method: str, argument: str) -> None:
    names = [name for name in arguments_of(method) if name in GOOD]
    good = {name: GOOD[name] for name in names} | OWN_GOOD.get(method, {})
    for value in JUNK:
        given = good | {argument: value}
        tried(lambda given=given: getattr(run, method)(**given), f"{method}({argument}={value!r})")  # type: ignore[misc]
    run.log_metrics({"after": 1.0})
    assert run.finish().ok


@pytest.mark.parametrize("argument", list(inspect.signature(unitrack.start_run).parameters))
def test_starting(root: Path, argument: str) -> None:
    for value in JUNK:
        given = {"sinks": "local", "root": "runs", "delivery": "inline", argument: value}

        def call(given: dict[str, Any] = given) -> None:
            with unitrack.start_run(**given):
                pass

        tried(call, f"start_run({argument}={value!r})")


def test_ending(run: unitrack.Run) -> None:
    for value in JUNK:
        tried(lambda value=value: run.flush(value), f"flush({value!r})")  # type: ignore[misc]
        tried(lambda value=value: run.finish(value), f"finish({value!r})")  # type: ignore[misc]
    for value in JUNK:
        tried(lambda value=value: run.finish(timeout=value), f"finish(timeout={value!r})")  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["runs", "compare_experiments", "Tracker", "LocalExperimentTracker", "ExperimentConfig"]
)
def test_other_functions(root: Path, name: str) -> None:
    for value in JUNK:
        tried(lambda value=value: getattr(unitrack, name)(value), f"{name}({value!r})")  # type: ignore[misc]
