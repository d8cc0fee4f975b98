"""Ranks and workers: who logs, under which names, and that all of it is in one run."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.errors import ConfigError, RunFinishedError
from unitrack.local.source import LocalSource
from unitrack.records import Metrics, RunEnd
from unitrack.run import launcher, ranks
from unitrack.run.disabled import DisabledRun
from unitrack.run.launcher import (
    RANK_VARIABLES,
    RUN_ID_VARIABLES,
    WORLD_SIZE_VARIABLES,
    find_crowd,
    find_rank,
    shared_run_id,
)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that runs the tests may itself be a rank of something; each test is a job of its own."""
    for variable in (*RANK_VARIABLES, *RUN_ID_VARIABLES, *WORLD_SIZE_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(launcher, "_shared_runs", itertools.count(1))


def start(root: Path, rank: int, **more: Any) -> unitrack.Run:
    """A run of one rank of several."""
    config = {"tracking": {"ranks": "all", "rank": rank, **more.pop("tracking", {})}, **more.pop("config", {})}
    more.setdefault("delivery", "inline")
    return unitrack.start_run("a", sinks=["local"], root=root / "runs", config=config, **{"run_id": "job1", **more})


def points(run: unitrack.Run) -> dict[str, list[tuple[int, float]]]:
    """The curves in the local files, each sorted by step."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for record in LocalSource(str(run.path)).records(run.path.name):
        if isinstance(record, Metrics):
            for name, value in record.values().items():
                curves.setdefault(name, []).append((record.step, value))
    return {name: sorted(curve) for name, curve in curves.items()}


@pytest.mark.parametrize("variable", RANK_VARIABLES)
def test_the_rank_is_found_when_it_is_asked_for(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From each launcher's variable, as it is at the call."""
    assert find_rank(None) is None
    monkeypatch.setenv(variable, "3")
    assert find_rank(None) == 3
    assert find_rank(0) == 0
    monkeypatch.setenv(variable, "none")
    assert find_rank(None) is None


def test_the_first_variable_counts() -> None:
    """torchrun under Slurm: one task a node, several ranks in it."""
    assert find_rank(None, {"RANK": "5", "SLURM_PROCID": "1", "PMI_RANK": "0"}) == 5
    assert find_rank(None, {"UNITRACK_RANK": "0", "RANK": "5"}) == 0


def test_how_many_runs_start_together_is_what_the_launcher_tells() -> None:
    array = {"SLURM_ARRAY_TASK_COUNT": "1000", "SLURM_STEP_NUM_TASKS": "8"}
    assert find_crowd(None, {}) == 1
    assert find_crowd(None, array) == 1000  # of eight ranks, one logs
    assert find_crowd(0, array) == 8000  # each process is a training of its own
    assert find_crowd(0, {"SLURM_STEP_NUM_TASKS": "8"}) == 8
    assert find_crowd(None, {"SLURM_ARRAY_TASK_COUNT": "many"}) == 1


def test_the_shared_id() -> None:
    """The user's, then the launcher's, in characters that every backend takes; a second run has another one."""
    assert shared_run_id({"SLURM_JOB_ID": "4711", "TORCHELASTIC_RUN_ID": "none"}) == "4711"
    assert shared_run_id({"TORCHELASTIC_RUN_ID": "my job/7"}) == "my-job-7-2"
    assert shared_run_id({"UNITRACK_RUN_ID": "x", "SLURM_JOB_ID": "1"}) == "x-3"
    with pytest.raises(ConfigError, match="UNITRACK_RUN_ID"):
        shared_run_id({"TORCHELASTIC_RUN_ID": "none"})


def test_by_default_rank_0_logs_and_the_others_do_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same script on each; all ranks are seeded alike."""
    drawn, runs = [], []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        config = {"reproducibility": {"random_seed": 7}}
        with unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline", config=config) as run:
            run.log_metrics({"loss": 0.5}, step=0)
        drawn.append(random.random())
        runs.append(run)
        assert (root / "runs").exists() == (rank == "0")
    assert isinstance(runs[0], DisabledRun)
    assert drawn[0] == drawn[1]
    assert points(runs[1]) == {"loss": [(0, 0.5)]}


def test_independent_processes_say_that_they_are_rank_0(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep by `srun`: every task is a training of its own."""
    monkeypatch.setenv("SLURM_PROCID", "4")
    config = {"tracking": {"rank": 0}}
    with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", config=config) as run:
        run.log_metric("loss", 1, step=0)
    assert points(run) == {"loss": [(0, 1.0)]}


def test_all_ranks_in_one_run(root: Path) -> None:
    """What another rank logs has its name below the rank; nothing of two ranks meets."""
    (root / "model.pt").write_text("weights")
    zero, one = start(root, 0, params={"lr": 0.1}), start(root, 1, params={"lr": 0.1})
    assert not one._parts.recorder.is_owner
    assert (one.id, one.path) == (zero.id, zero.path)
    for rank, run in enumerate((zero, one)):
        for step in range(3):
            run.log_metrics({"loss": rank + step / 10}, step=step)
        run.log_metric("acc", rank)
        run.log_params({"model": {"depth": rank}})
        run.set_tags({"gpu": f"cuda:{rank}"})
        run.log_artifact("model.pt")
        run.log_text("hello", "notes/a.txt")
    assert one.finish() is one.finish()
    with pytest.raises(RunFinishedError):
        one.log_metric("loss", 1)
    zero.log_metric("late", 1, step=9)
    assert zero.finish().ok
    assert points(zero) == {
        "loss": [(0, 0.0), (1, 0.1), (2, 0.2)],
        "acc": [(3, 0.0)],
        "late": [(9, 1.0)],
        "rank1/loss": [(0, 1.0), (1, 1.1), (2, 1.2)],
        "rank1/acc": [(3, 1.0)],
    }
    params = json.loads((zero.path / "params.json").read_text())
    assert params == {"lr": 0.1, "model": {"depth": 0}, "rank1": {"model": {"depth": 1}}}
    tags = json.loads((zero.path / "metadata.json").read_text())["tags"]
    assert (tags["gpu"], tags["rank1.gpu"], tags["rank1.pid"]) == ("cuda:0", "cuda:1", str(os.getpid()))
    kept = zero.path / "artifacts"
    artifacts = {path.relative_to(kept).as_posix() for path in kept.rglob("*.*")}
    assert artifacts == {"model.pt", "notes/a.txt", "rank1/model.pt", "rank1/notes/a.txt"}


def test_what_is_wrong_in_a_rank_is_refused_as_in_any(root: Path) -> None:
    """Under the rank's names."""
    with start(root, 0) as zero, start(root, 1) as one:
        for wrong in ({"loss": "x"}, {1: 1.0}, {"": 1.0}, [1]):
            with pytest.raises((TypeError, ValueError)):
                one.log_metrics(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="rank1/loss"):
            one.log_metrics({"loss": float("nan")})
    assert points(zero) == {}


def test_rank_0_waits_for_the_others_to_end(root: Path) -> None:
    """They seldom end at the same moment."""
    zero, one = start(root, 0, delivery="thread"), start(root, 1, delivery="thread")

    def log_late() -> None:
        time.sleep(0.3)
        one.log_metric("loss", 1, step=0)
        one.finish()

    late = threading.Thread(target=log_late)
    late.start()
    report = zero.finish(timeout=20)
    late.join()
    assert report.ok
    assert points(zero) == {"rank1/loss": [(0, 1.0)]}


def test_rank_0_does_not_wait_for_ever(root: Path) -> None:
    """A rank that hangs costs the time that `finish` was given, and one that failed does not wait at all."""
    zero, one = start(root, 0), start(root, 1)
    began = time.monotonic()
    with pytest.warns(unitrack.DeliveryWarning, match="1 pending"):  # the end, for which it waits
        zero.finish(timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    one.finish()
    zero, one = start(root, 0, run_id="job2"), start(root, 1, run_id="job2")
    began = time.monotonic()
    zero.finish("failed", timeout=30)
    assert time.monotonic() - began < 10
    one.finish()


def test_a_rank_waits_for_rank_0(root: Path) -> None:
    """Whoever comes first."""
    joined: list[unitrack.Run] = []
    first = threading.Thread(target=lambda: joined.append(start(root, 1, delivery="thread")))
    first.start()
    time.sleep(0.1)
    with start(root, 0, delivery="thread") as zero:
        first.join(timeout=20)
        joined[0].log_metric("loss", 1, step=0)
        joined[0].finish()
    assert points(zero) == {"rank1/loss": [(0, 1.0)]}


def test_a_rank_that_waits_in_vain_raises(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has ended is not joined, and the message tells it from one that is nowhere."""
    monkeypatch.setattr(ranks, "_JOIN_TIMEOUT_S", 0.1)
    with pytest.raises(ConfigError, match=r"rank 1 .* 'job1' under .*runs"):
        start(root, 1)
    with start(root, 0):
        pass
    with pytest.raises(ConfigError, match=r"rank 1 .* 'job1' in .*runs.* after its end.* WORLD_SIZE"):
        start(root, 1)


def test_all_ranks_without_an_id_or_a_launcher(root: Path) -> None:
    """One process alone needs no id; a rank does."""
    config = {"tracking": {"ranks": "all"}}
    with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", config=config) as run:
        run.log_metric("loss", 1, step=0)
    assert points(run) == {"loss": [(0, 1.0)]}
    with pytest.raises(ConfigError, match="run_id="):
        start(root, 0, run_id=None)


def test_a_job_that_is_started_again_goes_on(root: Path) -> None:
    """All ranks, with `resume`: the second attempt joins the run as it was taken up."""
    for attempt in range(2):
        zero = start(root, 0, resume="allow")
        one = start(root, 1, resume="allow")
        zero.log_metric("loss", attempt, step=attempt)
        one.log_metric("loss", attempt, step=attempt)
        one.finish()
        assert zero.finish().ok
    assert points(zero) == {"loss": [(0, 0.0), (1, 1.0)], "rank1/loss": [(0, 0.0), (1, 1.0)]}


RANK = """
import unitrack
with unitrack.start_run("a", config={"tracking": {"ranks": "all"}}, sinks=["local"], root="runs") as run:
    for step in range(50):
        run.log_metrics({"loss": step}, step=step)
"""


def test_ranks_as_processes(root: Path) -> None:
    """As torchrun starts them: the environment tells rank and job."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "3", "TORCHELASTIC_RUN_ID": "job/9"},
        )
        for rank in (1, 0, 2)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    [folder] = (root / "runs").iterdir()
    records = list(LocalSource(str(folder)).records(folder.name))
    curves: dict[str, list[int]] = {}
    for record in records:
        if isinstance(record, Metrics):
            curves.setdefault(next(iter(record.metrics)), []).append(record.step)
    assert curves == {name: list(range(50)) for name in ("loss", "rank1/loss", "rank2/loss")}
    assert isinstance(records[-1], RunEnd)
    assert records[-1].status == "finished"
    assert json.loads((folder / "metadata.json").read_text())["run_id"] == "job-9"


WORKER = """
import pickle, sys
run = pickle.load(sys.stdin.buffer)
with run:
    for step in range(20):
        run.log_metrics({"worker": step}, step=step)
    run.log_params({"from": "worker"})
    run.log_text("hello", "worker.txt")
    raise SystemExit(run.id != "job1")
"""


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_a_spawned_worker_logs_to_the_run_that_it_was_handed(root: Path, delivery: Any) -> None:
    """Through a pickle: a journal of its own in the same run, which goes on after the worker."""
    with unitrack.start_run("a", sinks=["local"], run_id="job1", root=root, delivery=delivery) as run:
        run.log_metric("loss", 1, step=0)
        subprocess.run([sys.executable, "-c", WORKER], input=pickle.dumps(run), check=True, timeout=60)
        run.log_metric("loss", 2, step=1)
    assert run.finish().ok
    assert points(run) == {"loss": [(0, 1.0), (1, 2.0)], "worker": [(step, float(step)) for step in range(20)]}
    assert json.loads((run.path / "params.json").read_text()) == {"from": "worker"}
    assert (run.path / "artifacts" / "worker.txt").read_text() == "hello"
    assert json.loads((run.path / "metadata.json").read_text())["status"] == "completed"


def test_a_pickle_holds_no_options_of_sinks(root: Path) -> None:
    """It may end up on a disk."""
    sinks = [{"probe": {"out": str(root / "s3cret"), "name": "mine"}}, "local"]
    with unitrack.start_run("a", sinks=sinks, root=root, delivery="inline") as run:
        data = pickle.dumps(run)
        assert b"s3cret" not in data
        worker = pickle.loads(data)
        assert worker.links().keys() == {"mine", "local"}
        assert worker.flush(timeout=5).sinks.keys() == {"mine", "local"}
        worker.finish()


def test_a_worker_that_logs_nothing_leaves_nothing(root: Path) -> None:
    """A journal is made by the first log call; a handle of a run that has ended says so."""
    run = unitrack.start_run("a", sinks=["local"], root=root, delivery="inline")
    journals = list(run.path.glob(".spool/*.journal"))
    worker, late = (pickle.loads(pickle.dumps(run)) for _ in range(2))
    worker.finish()
    assert list(run.path.glob(".spool/*.journal")) == journals
    with pytest.raises(RunFinishedError):
        worker.log_metric("a", 1)
    run.finish()
    with pytest.raises(unitrack.UnitrackError):
        late.log_metric("a", 1)
    assert late.finish().ok


def test_a_worker_of_a_rank_logs_as_that_rank(root: Path) -> None:
    """And does not end the rank's part."""
    with start(root, 0) as zero, start(root, 1) as one:
        worker = pickle.loads(pickle.dumps(one))
        worker.log_metric("loss", 1, step=0)
        worker.finish()
        one.log_metric("loss", 2, step=1)
    assert points(zero) == {"rank1/loss": [(0, 1.0), (1, 2.0)]}


def test_a_worker_of_a_run_that_does_nothing_does_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 1's workers."""
    monkeypatch.setenv("RANK", "1")
    worker = pickle.loads(pickle.dumps(unitrack.start_run("a", sinks=["local"], root=root)))
    worker.log_metric("loss", 1)
    assert worker.finish().ok
    assert list(root.iterdir()) == []
