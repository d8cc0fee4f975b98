"""The runs of a program that `unitrack rerun` has started: where they go, under which id, with which seed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

import unitrack
from unitrack.environment.seeds import HASH_SEED, latest
from unitrack.records import RERUN_OF
from unitrack.run.reruns import RerunTerms
from unitrack.run.start import RERUN

QUICK: dict[str, Any] = {"delivery": "inline", "config": {"reproducibility": {"log_git_tree": False}}}


@pytest.fixture
def terms(root: Path, monkeypatch: pytest.MonkeyPatch) -> RerunTerms:
    """Those of a rerun that this process belongs to; the seed of hashes is put back afterwards."""
    found = RerunTerms(
        of="first", root=str(root / "new"), sinks=("local",), started=str(root / "started"), token="abc123", seed=7
    )
    monkeypatch.setattr(latest, "seeds", None)
    monkeypatch.setenv(HASH_SEED, "0")
    monkeypatch.setenv(RERUN, msgspec.json.encode(found).decode())
    return found


def test_the_run_goes_where_the_rerun_wants_it(root: Path, terms: RerunTerms) -> None:
    """Whatever the program says: beside the first run, with its tag, and with its environment recorded."""
    with unitrack.start_run("mine", sinks=["nowhere"], root=root / "elsewhere", **QUICK) as run:
        assert run.path.parent == Path(terms.root)
        assert "python_version" in run.config
    assert unitrack.runs(terms.root)[0].tags[RERUN_OF] == "first"
    assert Path(terms.started).read_text() == f"{run.path}\n"
    assert not (root / "elsewhere").exists()


def test_a_program_that_resumes_its_run_begins_a_new_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id that it gives is made new, so that the first run is left alone; the same one twice is one new run."""
    found = RerunTerms(of="first", root=str(root), sinks=("local",), started=str(root / "started"), token="abc123")
    with unitrack.start_run(run_id="job-7", sinks=["local"], root=root, delivery="inline"):
        pass
    monkeypatch.setenv(RERUN, msgspec.json.encode(found).decode())
    for _ in range(2):
        with unitrack.start_run(run_id="job-7", resume="must", root=root, **QUICK) as run:
            assert run.id == "job-7-abc123"
    assert {one.id for one in unitrack.runs(root)} == {"job-7", "job-7-abc123"}


def test_a_sink_in_the_code_is_in_the_work_tree_of_the_user(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sink keeps beside the program would be removed with the code."""
    top, home = root / "temporary" / "digits", root / "digits"
    top.mkdir(parents=True)
    monkeypatch.chdir(top)
    found = RerunTerms(
        of="first",
        root=str(root / "new"),
        sinks=("local", "probe"),
        started=str(root / "started"),
        token="abc123",
        code=str(top),
        home=str(home),
    )
    monkeypatch.setenv(RERUN, msgspec.json.encode(found).decode())
    sinks = ["local", {"probe": {"out": str(top / "logs")}}]
    with unitrack.start_run("mine", sinks=sinks, **QUICK) as run:
        run.log_metric("loss", 1.0)
    assert run.links()["probe"].location == str(home / "logs")
    assert (home / "logs" / "stored.jsonl").exists()
    assert not (top / "logs").exists()


def test_the_seed_that_the_configuration_gave_is_set_again(terms: RerunTerms) -> None:
    """Unless the configuration of now gives one."""
    drawn = random.Random(terms.seed).random()
    with unitrack.start_run("a", **QUICK) as run:
        assert (run.config["random_seed"], random.random()) == (7, drawn)
    with unitrack.start_run("b", delivery="inline", config={"reproducibility": {"random_seed": 8}}) as run:
        assert run.config["random_seed"] == 8


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"of": 1}'])
def test_a_variable_of_somebody_else_is_refused(text: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to go on."""
    monkeypatch.setenv(RERUN, text)
    with pytest.raises(unitrack.ConfigError, match="unset it"):
        unitrack.start_run("a", root=root)
    assert not list(root.iterdir())


def test_a_run_that_records_nothing_is_not_listed(terms: RerunTerms, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to compare in it."""
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    with unitrack.start_run("a"):
        pass
    assert not Path(terms.started).exists()
