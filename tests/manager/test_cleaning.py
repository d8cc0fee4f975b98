"""Which run folders may go, and the trash."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack import ConfigError, Run, start_run
from unitrack.errors import NotFoundError
from unitrack.manager.cleaning import Candidate, Rules, choose, put_away
from unitrack.manager.trash import Trash, size_of

HOUR_S = 3600.0


def make(name: str, loss: float | None = None, status: Any = "finished", **options: Any) -> Run:
    run = start_run(name, run_id=name, **{"sinks": ["local"], "delivery": "inline"} | options)
    if loss is not None:
        run.log_metrics({"loss": loss, "acc": 1 - loss}, step=0)
    run.finish(status)
    return run


def names(found: Iterable[Candidate]) -> list[str]:
    return sorted(one.name for one in found if not one.kept_because)


@pytest.fixture
def runs_of_all_kinds(root: Path) -> Path:
    for number, loss in enumerate((0.4, 0.1, 0.3, 0.2)):
        make(f"r{number}", loss)
    make("crashed", 0.9, "failed")
    make("killed", None, "killed")
    make("nothing")
    return root / "experiments"


@pytest.mark.parametrize(
    ("rules", "going"),
    [
        (Rules(failed=True), ["crashed", "killed"]),
        (Rules(empty=True), ["killed", "nothing"]),
        (Rules(failed=True, empty=True), ["killed"]),
        (Rules(older_than=HOUR_S), []),
        (Rules(older_than=0.0, failed=True), ["crashed", "killed"]),
        (Rules(keep_best=2, metric="loss"), ["crashed", "r0", "r2"]),
        (Rules(keep_best=2, metric="acc"), ["crashed", "r0", "r2"]),
        (Rules(keep_best=1, metric="loss", goal="max"), ["r0", "r1", "r2", "r3"]),
        (Rules(keep_best=0, metric="loss", failed=True), ["crashed"]),
    ],
)
def test_all_rules_must_hold(runs_of_all_kinds: Path, rules: Rules, going: list[str]) -> None:
    """The best are kept, and those of which nobody knows how good they are."""
    assert names(choose(unitrack.runs(runs_of_all_kinds), rules)) == going


def test_the_best_are_those_that_the_run_has_defined(root: Path) -> None:
    """`clean` keeps what `best` shows: a score that is better when low is declared so by `define_metric`."""
    for number in range(3):
        with start_run(f"r{number}", run_id=f"r{number}", sinks=["local"], delivery="inline") as run:
            run.define_metric("score", summary="min")
            run.log_metrics({"score": float(number)}, step=0)
    runs = unitrack.runs(root / "experiments")
    assert names(choose(runs, Rules(keep_best=1, metric="score"))) == ["r1", "r2"]
    assert runs.best("score").name == "r0"


def test_a_metric_that_no_run_has_is_an_error(runs_of_all_kinds: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no run in .* has a metric 'lss': did you mean 'loss'"):
        choose(unitrack.runs(runs_of_all_kinds), Rules(keep_best=1, metric="lss"))


@pytest.mark.parametrize("rules", [Rules(), Rules(keep_best=1), Rules(metric="loss", failed=True)])
def test_rules_must_say_what_may_go(rules: Rules) -> None:
    with pytest.raises(ConfigError):
        rules.check(has_filter=False)


def test_what_is_put_away_comes_back(runs_of_all_kinds: Path) -> None:
    before = {run.name: dict(run.summary) for run in unitrack.runs(runs_of_all_kinds)}
    batch, stayed = put_away(choose(unitrack.runs(runs_of_all_kinds), Rules(failed=True)), runs_of_all_kinds)
    assert batch is not None
    assert (sorted(path.name for path in batch.iterdir()), stayed) == (["crashed", "killed"], [])
    assert sorted(run.name for run in unitrack.runs(runs_of_all_kinds)) == ["nothing", "r0", "r1", "r2", "r3"]
    time.sleep(0.002)
    put_away(choose(unitrack.runs(runs_of_all_kinds), Rules(empty=True)), runs_of_all_kinds)
    assert Trash(runs_of_all_kinds).bring_back().runs == ("nothing",)
    assert Trash(runs_of_all_kinds).bring_back().runs == ("crashed", "killed")
    assert {run.name: dict(run.summary) for run in unitrack.runs(runs_of_all_kinds)} == before
    assert not (runs_of_all_kinds / ".trash").exists()
    with pytest.raises(ConfigError, match="is empty"):
        Trash(runs_of_all_kinds).bring_back()


def test_a_name_that_is_taken_brings_nothing_back(runs_of_all_kinds: Path) -> None:
    batch, _ = put_away(choose(unitrack.runs(runs_of_all_kinds), Rules(failed=True)), runs_of_all_kinds)
    make("crashed")
    with pytest.raises(ConfigError, match="crashed is there again"):
        Trash(runs_of_all_kinds).bring_back()
    assert batch is not None
    assert sorted(path.name for path in batch.iterdir()) == ["crashed", "killed"]


def test_a_live_run_and_one_with_pending_records_stay(root: Path) -> None:
    """Also if one is taken up between choosing and moving."""
    troubles = [{"hook": "open_run", "kind": "misconfigured"}]
    probe: dict[str, Any] = {"probe": {"out": str(root / "probe"), "troubles": troubles}}
    with pytest.warns(unitrack.DeliveryWarning):
        make("stuck", sinks=["local", probe])
    make("late")
    with start_run("live", sinks=["local"], delivery="inline"):
        found = {one.name: one.kept_because for one in choose(unitrack.runs(), Rules(empty=True))}
        assert found["late"] == ""
        assert "probe still lacks records" in found["stuck"]
        assert found["live"] == "it is running"
        chosen = [one for one in choose(unitrack.runs(), Rules(empty=True)) if one.name == "late"]
        with start_run("late", run_id="late", resume="must", sinks=["local"], delivery="inline"):
            batch, [stayed] = put_away(chosen, root / "experiments")
        assert (batch, stayed.kept_because) == (None, "it is running")


def test_the_trash_of_a_link_is_not_emptied(root: Path) -> None:
    (root / "precious").mkdir()
    (root / "runs").mkdir()
    (root / "runs" / ".trash").symlink_to(root / "precious")
    with pytest.raises(ConfigError, match="symbolic link"):
        Trash(root / "runs").empty()
    assert (root / "precious").exists()


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 40_000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("/etc")
    assert 40_000 <= size_of(tmp_path) < 80_000
