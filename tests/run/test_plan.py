"""How a run will start is decided before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unitrack.config import resolve
from unitrack.errors import ConfigError
from unitrack.plugins.registry import installed
from unitrack.run.plan import Plan, make_plan


def plan(root: Path, tracking: dict[str, Any] | None = None, **more: Any) -> Plan:
    call = {"tracking": {"sinks": ["local"], "root": str(root / "runs"), **(tracking or {})}}
    asked = {"run_id": None, "resume": None, "environ": {}} | more
    return make_plan(resolve({}, call=call), installed(), **asked)


def test_nothing_is_written(root: Path) -> None:
    made = plan(root)
    assert [lane.name for lane in made.lanes] == ["local"]
    assert (made.run_id, made.resume, made.rank) == (None, "never", None)
    assert not made.is_other_rank
    assert not (root / "runs").exists()


def test_no_lanes_where_nothing_is_recorded(root: Path) -> None:
    """By its mode, or since this rank does not log."""
    assert plan(root, {"mode": "disabled"}).lanes == ()
    other = plan(root, {"rank": 3, "ranks": "zero"})
    assert other.lanes == ()
    assert other.is_other_rank


def test_all_ranks_log(root: Path) -> None:
    """Those that do not start the run have its lanes as well: a wrong option is told by each."""
    other = plan(root, {"rank": 3, "ranks": "all"}, run_id="job-7")
    assert other.is_other_rank
    assert other.lanes
    assert other.run_id == "job-7"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"resume": "maybe"}, "resume must be 'never', 'allow', 'must' or 'auto', got 'maybe'"),
        ({"resume": "must"}, "resume='must' needs the run_id"),
        ({"run_id": "a/b"}, "run_id 'a/b' must be 1 to 64 letters"),
        ({"tracking": {"sinks": ["nowhere"]}}, "unknown sink 'nowhere'"),
        ({"tracking": {"sinks": ["local", {"local": {"name": "again"}}]}}, "would write the same files"),
    ],
)
def test_what_can_not_work_is_told(root: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        plan(root, **more)
    assert not (root / "runs").exists()


def test_variables_of_the_team_are_part_of_it(root: Path) -> None:
    """The environment is an argument: a plan is decided by what it is given."""
    made = plan(root, {"sinks": ["probe"]}, environ={"PROBE_OUT": str(root / "out"), "PROBE_GROUP": "g"})
    assert made.lanes[0].options["out"] == str(root / "out")
    assert made.settings.experiment.group == "g"
