"""Many open runs at the end of their process: all ends are written before anything is waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unitrack_tests.bench import trouble
from unitrack_tests.children import PREAMBLE, wait_until

LIMITS = {"IN_PLACE_TRIES": 1, "RETRY_FIRST_S": 0.05, "RETRY_MAX_S": 0.2, "LINGER_POLL_S": 0.05}

RUNS = """
import unitrack.run.lifecycle
unitrack.run.lifecycle.EXIT_TIMEOUT_S = 60.0
def start(number):
    options = {**json.loads(sys.argv[1]), "out": os.path.abspath(f"backend/{number}")}
    run = unitrack.start_run("run", sinks=[{"probe": options}], root="runs")
    run.log_metrics({"loss": 0.5}, step=0)
    return run
"""

DEVICE = """
class Stuck:
    device = "cuda:0"
    def detach(self): return self
    def item(self): time.sleep(3600)
    __float__ = item
stuck = start(0)
stuck.log_metrics({"late": Stuck()}, step=1)
"""


@pytest.mark.parametrize(("code", "runs", "ended_first"), [("", 50, 1), ("", 50, 50), (DEVICE, 6, 5)])
def test_a_signal_at_exit_finds_all_runs_finished(root: Path, code: str, runs: int, ended_first: int) -> None:
    """Whether it comes while ends are written or while sinks are waited for, and though a device does not answer."""
    away = trouble("open_run", "unavailable", until=str(root / "back"))
    options = json.dumps({"limits": LIMITS, "troubles": [away]})
    code += f"opened = [start(number) for number in range({int(bool(code))}, {runs})]\n"
    script = root / "train.py"
    script.write_text(PREAMBLE + RUNS + code)
    environ = os.environ | {"UNITRACK_LINGER": "60"}
    training = subprocess.Popen([sys.executable, str(script), options], cwd=root, env=environ)
    wait_until(lambda: len(list(root.glob("runs/*/.spool/ended"))) >= ended_first)
    training.send_signal(signal.SIGTERM)
    assert training.wait(60) == -signal.SIGTERM
    (root / "back").touch()
    wait_until(lambda: len(list(root.glob("backend/*/ended.json"))) == runs)
    assert {json.loads(end.read_text())["status"] for end in root.glob("backend/*/ended.json")} == {"finished"}
