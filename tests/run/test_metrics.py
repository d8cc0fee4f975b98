"""The metrics of a run: steps, values that are not finite, and the fast path against the slow one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unitrack_tests.local_files import logged

import unitrack
from unitrack.errors import (
    InvalidTypeError,
    InvalidValueError,
)


def test_steps_without_a_number_follow_the_highest(root: Path) -> None:
    """Whatever came before, in any order."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        for step in (None, None, 10, None, 5, None, 2**63 - 1):
            run.log_metric("loss", 1, step=step)
        with pytest.raises(InvalidValueError, match="step"):
            run.log_metric("loss", 1)
    assert [step for step, _ in logged(run)] == [0, 1, 10, 11, 5, 12, 2**63 - 1]


def test_a_dropped_nan_still_takes_its_step(root: Path) -> None:
    """Else all later points of a run without step numbers would be one too early."""
    config = {"safeguards": {"non_finite": "drop"}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        for value in (1.0, math.nan, 3.0):
            run.log_metric("loss", value)
    assert logged(run) == [(0, {"loss": 1.0}), (2, {"loss": 3.0})]


def test_keep_rest_logs_the_rest_and_raises(root: Path) -> None:
    """The caller hears of the bad one after the good ones are safe."""
    config = {"safeguards": {"on_invalid": "keep_rest"}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        with pytest.raises(InvalidTypeError, match="'bad'"):
            run.log_metrics({"good": 1, "bad": "x"})
        run.log_metrics({"good": 2})
    assert logged(run) == [(0, {"good": 1.0}), (1, {"good": 2.0})]


def test_nan_and_infinity_reach_the_files(root: Path) -> None:
    """With `keep`, as Python's json module writes and reads them."""
    config = {"safeguards": {"non_finite": "keep"}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        run.log_metrics({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1})
    line = json.loads((run.path / "metrics.jsonl").read_text())
    assert math.isnan(line["metrics"].pop("a"))
    assert line["metrics"] == {"b": math.inf, "c": -math.inf, "d": 1}


values = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.floats(width=32).map(np.float32),
    st.integers(-128, 127).map(np.int8),
    st.booleans().map(np.bool_),
    st.just(np.zeros(2)),
    st.floats().map(np.array),
)

names = st.text(max_size=3) | st.sampled_from(["loss", "acc"])

steps = st.none() | st.integers(-1, 2**63) | st.floats() | st.booleans() | st.integers(0, 100).map(np.int64)

calls_of_a_run = st.lists(st.tuples(st.dictionaries(names, values, max_size=4), steps), max_size=12)


@pytest.fixture(scope="module")
def fast_and_slow(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A way to run the same calls on the fast path and on the slow one."""

    def outcome(calls: list[Any], *, fast: bool, policy: str, rest: str) -> tuple[list[Any], list[Any]]:
        root = tmp_path_factory.mktemp("runs")
        config = {"safeguards": {"non_finite": policy, "on_invalid": rest, "max_points_per_metric": 4}}
        run = unitrack.start_run("a", config=config, delivery="inline", root=root)
        run._parts.metrics._has_fast_path = fast
        answers: list[Any] = []
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for metrics, step in calls:
                try:
                    answers.append(run.log_metrics(metrics, step))
                except unitrack.UnitrackError as error:
                    answers.append((type(error), str(error)))
        run.finish()
        return answers, [(step, {k: (v, str(v)) if v == v else "nan" for k, v in m.items()}) for step, m in logged(run)]

    return outcome


@given(
    calls=calls_of_a_run,
    policy=st.sampled_from(["raise", "warn", "drop", "keep"]),
    rest=st.sampled_from(["reject", "keep_rest"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fast_path_agrees_with_the_slow_one(fast_and_slow: Any, calls: list[Any], policy: str, rest: str) -> None:
    """Same answers, same files, whatever is logged."""
    fast = fast_and_slow(calls, fast=True, policy=policy, rest=rest)
    slow = fast_and_slow(calls, fast=False, policy=policy, rest=rest)
    assert fast == slow
