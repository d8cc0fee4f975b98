"""The tools of `unitrack mcp`, called as functions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from unitrack import ConfigError, InvalidValueError, start_run
from unitrack.agents import tools
from unitrack.errors import NotFoundError


@pytest.fixture(autouse=True)
def three_runs(root: Path) -> None:
    for number in range(3):
        identity = {"run_id": f"id-{number}", "project": "p", "tags": {"n": str(number)}}
        with start_run(f"r{number}", sinks=["local"], delivery="inline", **identity) as run:  # type: ignore[arg-type]
            run.log_params({"lr": 10.0**-number, "same": 1})
            for step in (0, 1, 3, 2, 3):
                run.log_metrics({"loss": number + step / 4}, step=step)


def test_runs_are_listed_with_a_bound() -> None:
    found = tools.list_runs(filter="params.lr < 1", order_by="params.lr", limit=1)
    assert ([run["name"] for run in found["runs"]], found["total"], found["left_out"]) == (["r2"], 2, 1)
    [run] = found["runs"]
    assert (run["params"], run["tags"], run["metrics"]) == ({"lr": 0.01, "same": 1}, {"n": "2"}, {"loss": 2.75})
    json.dumps(found)
    assert tools.list_runs(["local:experiments", "experiments"])["total"] == 3


def test_a_window_of_a_history_is_exact_and_goes_on() -> None:
    whole = tools.read_history("r1", ["loss"])["metrics"]["loss"]
    assert [(step, value) for step, value, _ in whole["points"]] == [(0, 1), (1, 1.25), (2, 1.5), (3, 1.75), (3, 1.75)]
    assert (whole["next_step"], whole["total"]) == (None, 5)
    first = tools.read_history("id-1", ["loss"], max_points=2)["metrics"]["loss"]
    assert ([step for step, _, _ in first["points"]], first["next_step"]) == ([0, 1], 2)
    rest = tools.read_history("id-1", ["loss"], first_step=2, max_points=4)["metrics"]["loss"]
    assert [step for step, _, _ in rest["points"]] == [2, 3, 3]
    assert [step for step, _, _ in tools.read_history("r1", ["loss"], 1, 2)["metrics"]["loss"]["points"]] == [1, 2]


def test_points_of_one_step_come_together() -> None:
    """Or asking for the rest would give some of them twice."""
    cut = tools.read_history("r1", ["loss"], first_step=1, max_points=3)["metrics"]["loss"]
    assert ([step for step, _, _ in cut["points"]], cut["next_step"]) == ([1, 2], 3)
    more_than_fit = tools.read_history("r1", ["loss"], first_step=3, max_points=1)["metrics"]["loss"]
    assert ([step for step, _, _ in more_than_fit["points"]], more_than_fit["next_step"]) == ([3, 3], None)


def test_runs_are_compared() -> None:
    found = tools.compare_runs(["r1", "local:experiments#r2"], baseline="id-0")
    assert [run["name"] for run in found["runs"]] == ["r0", "r1", "r2"]
    assert (found["differing_params"], found["same_params"]) == ({"lr": [1.0, 0.1, 0.01]}, 1)
    assert found["metrics"]["loss"][2] == {"last": 2.75, "min": 2.0, "max": 2.75}


def test_a_run_is_verified() -> None:
    found = tools.verify_run("r1")
    assert (found["ok"], found["backends"], found["differences"]) == (True, ["local"], [])


def test_what_json_lacks_is_spelled_out(root: Path) -> None:
    config = {"safeguards": {"non_finite": "keep"}}
    with start_run("odd", sinks=["local"], delivery="inline", config=config) as run:
        run.log_metrics({"loss": math.nan}, step=0)
        run.log_metrics({"loss": -math.inf}, step=1)
    points = tools.read_history("odd", ["loss"])["metrics"]["loss"]["points"]
    assert [value for _, value, _ in points] == ["nan", "-inf"]
    json.dumps(tools.list_runs(filter="name == 'odd'"), allow_nan=False)


def test_a_run_with_many_params_is_cut(root: Path) -> None:
    with start_run("wide", sinks=["local"], delivery="inline", params={f"p{n}": n for n in range(300)}):
        pass
    [run] = tools.list_runs(filter="name == 'wide'")["runs"]
    assert (len(run["params"]), run["params"]["left_out"]) == (201, 100)


def test_bad_arguments_are_clear_errors() -> None:
    with pytest.raises(InvalidValueError, match="limit must be 1 to 200, got 0"):
        tools.list_runs(limit=0)
    with pytest.raises(InvalidValueError, match="max_points must be 1 to 5000"):
        tools.read_history("r1", ["loss"], max_points=10**6)
    with pytest.raises(NotFoundError, match="did you mean 'loss'"):
        tools.read_history("r1", ["los"])
    with pytest.raises(ConfigError, match="did you mean"):
        tools.read_history("r11", ["loss"])
