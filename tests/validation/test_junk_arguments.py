"""Whatever a call is given, it takes it or raises an error of unitrack's own that says something."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unitrack
from unitrack.validation.messages import brief

JUNK: list[Any] = [
    *(None, 5, -1, 2.5, float("nan"), "x", "", b"x", "\ud800", "a\x00b", True, 1j, 10**400),
    *([], [1], ["a", None], [[1, 2], [3]], [{}], [{"a": 1}, {"b": 2}], (1, 2), set(), {"a"}, range(3), slice(1)),
    *({}, {1: 2}, {None: 1}, {"a": "x"}, {"a": {"b": [1]}}, {"a": object()}),
    *(object(), type, print, datetime.datetime(2026, 1, 1), np.zeros(3), np.array(["a"])),
]


class Broken:
    """An object whose every answer fails, such as one whose connection is closed."""

    def __repr__(self) -> str:
        raise RuntimeError("closed")

    def __float__(self) -> float:
        raise RuntimeError("closed")


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


HOSTILE: list[Any] = [
    *(Broken(), [Broken()], {"a": Broken()}, {Broken(): 1}, {"a": {"b": Broken()}}, nested(5000)),
    *("x" * 5000, "a/" * 3000, Path("."), np.zeros((0, 0)), 2**63, Fraction(1, 3)),
]
"""What can't be shown in a message, what no file system takes, and borders."""


class Drawing:
    """What a figure is asked for."""

    def savefig(self, buffer: Any, **options: object) -> None:
        buffer.write(b"drawing")


GOOD: dict[str, Any] = {
    "content": {},
    "data": [{"a": 1}],
    "figure": Drawing(),
    "folder": "folder",
    "html": "<p>",
    "image": np.zeros((2, 2)),
    "labels": [0, 1],
    "metrics": {"a": 1.0},
    "model": "folder",
    "name": "n",
    "params": {"a": 1},
    "path": "folder",
    "predictions": [0.5, 1.0],
    "root": "folder",
    "sound": np.zeros(4),
    "state": {"a": 1},
    "step": 1,
    "table": [{"a": 1}],
    "tags": {"a": 1},
    "text": "t",
    "value": 1.0,
    "values": {"a": 1.0},
    "vectors": np.zeros((2, 2)),
    "video": np.zeros((2, 2, 2)),
}
OWN_GOOD: dict[str, dict[str, Any]] = {"log_histogram": {"values": [1.0, 2.0]}}
METHODS = sorted(name for name in dir(unitrack.Run) if name.startswith(("log", "set_", "define_", "load_")))


PICTURES = [Image.new(mode, (2, 2)) for mode in ("F", "CMYK", "RGBA", "I;16")] + [Image.new("RGB", (0, 0))]


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
def run(root: Path) -> Iterator[unitrack.Run]:
    (root / "folder").mkdir()
    (root / "folder" / "a.py").write_text("a", encoding="utf-8")
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        yield run


@pytest.mark.filterwarnings("ignore:left out of folder")
@pytest.mark.parametrize(("method", "argument"), [(name, one) for name in METHODS for one in arguments_of(name)])
def test_log_calls(run: unitrack.Run, method: str, argument: str) -> None:
    names = [name for name in arguments_of(method) if name in GOOD]
    good = {name: GOOD[name] for name in names} | OWN_GOOD.get(method, {})
    for value in JUNK + HOSTILE:
        given = good | {argument: value}
        tried(lambda given=given: getattr(run, method)(**given), f"{method}({argument}={brief(value)})")  # type: ignore[misc]
    run.log_metrics({"after": 1.0})
    assert run.finish().ok


@pytest.mark.parametrize("suffix", ["png", "jpg", "ico", "webp"])
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.mode)
def test_pictures_that_a_format_does_not_hold(run: unitrack.Run, picture: Image.Image, suffix: str) -> None:
    tried(lambda: run.log_image(picture, f"x.{suffix}"), f"log_image of mode {picture.mode}")


def test_a_format_that_matplotlib_does_not_write(run: unitrack.Run) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    with pytest.raises(unitrack.InvalidValueError, match=r"figure 'loss.json' can't be written as 'json': "):
        run.log_figure(figure, "loss.json")


def test_a_run_that_records_nothing_takes_everything(root: Path) -> None:
    with unitrack.start_run(config={"tracking": {"mode": "disabled"}}) as run:
        for method in METHODS:
            for value in JUNK + HOSTILE:
                getattr(run, method)(*[value] * len(arguments_of(method)[:1]))


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


def test_reading(run: unitrack.Run, root: Path) -> None:
    run.log_metrics({"a": 1.0})
    run.log_text("t", "t.txt")
    run.finish()
    runs = unitrack.runs()
    for value in JUNK + HOSTILE:
        for call in (runs.find, runs[0].history, lambda name: runs[0].fetch(name, "there")):
            tried(lambda call=call, value=value: call(value), f"{call}({brief(value)})")  # type: ignore[misc]
        tried(lambda value=value: runs[0].fetch("t.txt", value), f"fetch into {brief(value)}")  # type: ignore[misc]


def test_trackers(root: Path) -> None:
    tracker = unitrack.LocalExperimentTracker("experiments")
    with tracker.start_run("a"):
        for value in JUNK + HOSTILE:
            for call in (tracker.log_params, tracker.log_metrics, tracker.log_artifact):
                tried(lambda call=call, value=value: call(value), f"{call}({brief(value)})")  # type: ignore[misc]
            tried(lambda value=value: unitrack.safe_log_artifact(tracker, value), brief(value))  # type: ignore[misc]
            tried(lambda value=value: unitrack.log_environment(value), brief(value))  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["runs", "compare_experiments", "Tracker", "LocalExperimentTracker", "ExperimentConfig"]
)
def test_other_functions(root: Path, name: str) -> None:
    for value in JUNK + (HOSTILE if name in ("runs", "compare_experiments") else []):
        tried(lambda value=value: getattr(unitrack, name)(value), f"{name}({brief(value)})")  # type: ignore[misc]
