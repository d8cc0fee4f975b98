"""A study in a real PostgreSQL: agents with a root each, as on two machines, share its trials.

How an agent on another machine is given up is in `test_presence.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from unitrack_tests.postgres import Server, is_available, serving

import unitrack

pytest.importorskip("optuna")
pytest.importorskip("psycopg")

AGENT = """
import os, sys, time
import unitrack

def train(run, x, y):
    run.log_metrics({"loss": x + y}, step=0)
    with open(os.environ["TRAINED"], "a") as file:
        file.write(f"{x} {y} {os.environ['AGENT']}\\n")
    time.sleep(float(os.environ.get("SLOW", "0.05")))

unitrack.sweep(train, {"x": [1, 2, 3, 4], "y": [10, 20, 30]}, strategy="grid", name="shared", project="digits",
               storage=os.environ["STUDY"], sinks=["local"], root=os.environ["AGENT"])
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not is_available():
        pytest.skip("no PostgreSQL on this machine, and no wheel of it")
    with serving() as server:
        yield server


@pytest.fixture
def study(server: Server) -> str:
    """A database of its own for each test."""
    return server.make_database()


def start(root: Path, name: str, study: str, **environ: str) -> subprocess.Popen[bytes]:
    told = {"STUDY": study, "AGENT": str(root / name), "TRAINED": str(root / "trained")}
    return subprocess.Popen([sys.executable, "-c", AGENT], cwd=root, env=os.environ | told | environ)


def trained(root: Path) -> list[list[str]]:
    path = root / "trained"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_two_agents_run_each_combination_once(root: Path, study: str) -> None:
    agents = [start(root, name, study) for name in ("one", "two")]
    assert [agent.wait(90) for agent in agents] == [0, 0]
    ran = Counter((x, y) for x, y, _ in trained(root))
    assert ran == Counter({(str(x), str(y)): 1 for x in (1, 2, 3, 4) for y in (10, 20, 30)})
    kept = [run for name in ("one", "two") for run in unitrack.runs(str(root / name)) if run.job_type == "trial"]
    assert len({run.id for run in kept}) == len(kept) == 12
    assert all(run.status == "finished" for run in kept)
    assert len({run.group for run in kept} | {"shared"}) == 1


def test_an_agent_that_is_killed_leaves_its_trial_to_others(root: Path, study: str) -> None:
    """The other agent has another root, so it can't see the lock of this one, but it sees that its process is gone."""
    victim = start(root, "victim", study, SLOW="60")
    end = time.monotonic() + 60
    while not trained(root) and time.monotonic() < end:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    [(x, y, _)] = trained(root)
    other = start(root, "other", study)
    assert other.wait(90) == 0
    ran = Counter((one, two) for one, two, _ in trained(root))
    assert ran.pop((x, y)) == 2  # once more, by the other one
    assert sorted(ran.values()) == [1] * 11
