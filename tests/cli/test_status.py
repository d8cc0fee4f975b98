"""`unitrack status`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import Result

from unitrack import DeliveryWarning, Run, start_run
from unitrack.delivery import status
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import read_report
from unitrack.delivery.status import read_run_state
from unitrack.runfolder.run_folder import RunFolder

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]

SUDDEN_DEATH = """
import json, os, signal, sys, time
from pathlib import Path
import unitrack
run = unitrack.start_run("dead", run_id="dead-1", sinks=["local"])
run.log_metrics({"loss": 1.0}, step=0)
run.flush(20)
courier = json.loads((run.path / ".unitrack/local.ledger.json").read_text())["pid"]
os.kill(courier, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


def read(invoke: Invoke, *arguments: object) -> list[dict[str, Any]]:
    result = invoke("status", *arguments, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_lists_what_is_not_complete(invoke: Invoke, complete_run: Run, pending_run: Run) -> None:
    [state] = read(invoke)
    assert (state["run_id"], state["status"]) == ("stuck-1", "ended")
    local, probe = state["sinks"]
    assert (local["state"], local["delivered"], local["pending"]) == ("complete", 4, 0)
    assert (probe["state"], probe["delivered"], probe["pending"]) == ("pending", 0, 4)
    assert "503 for the tests" in probe["last_error"]
    report = read_report(RunFolder(pending_run.path))
    assert (report["probe"].pending, report["local"].delivered) == (probe["pending"], local["delivered"])


def test_text_says_why_and_how_to_go_on(invoke: Invoke, complete_run: Run, pending_run: Run) -> None:
    lines = invoke("status").stdout.splitlines()
    assert "probe: 503 for the tests" in [line.rstrip() for line in lines]
    assert "go on with: unitrack sync experiments/stuck" in lines
    assert ["probe", "pending", "0", "4", "0", "nobody", "delivers"] in [line.split() for line in lines]
    assert lines[-1] == "1 run is complete (--all shows them)"


def test_all_shows_complete_runs_newest_first(invoke: Invoke, complete_run: Run) -> None:
    start_run("later", sinks=["local"], delivery="inline").finish("failed")
    states = read(invoke, "--all")
    assert [state["name"] for state in states] == ["later", "done"]
    assert [state["status"] for state in states] == ["failed", "finished"]


@pytest.mark.parametrize("argument", ["done-1", "done", "experiments/done"])
def test_a_run_is_named_by_id_folder_or_path(invoke: Invoke, complete_run: Run, argument: str) -> None:
    """Named, it is shown although it is complete."""
    assert [state["run_id"] for state in read(invoke, argument)] == ["done-1"]


def test_a_folder_of_runs_is_no_named_run(invoke: Invoke, complete_run: Run) -> None:
    assert read(invoke, "experiments") == []


def test_an_unknown_run_names_what_is_near(complete_run: Run, call_program: Program) -> None:
    result = call_program("status", "dne-1")
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean 'done-1'?" in result.stderr


def test_an_empty_root_has_no_runs(invoke: Invoke, root: Path) -> None:
    """Where it looked is said."""
    assert invoke("status").stdout == f"no runs in {root / 'experiments'} (tracking.root)\n"


def test_a_parked_sink_stays_parked_without_anybody_delivering(
    invoke: Invoke, root: Path, run_in_trouble: Callable[..., Run]
) -> None:
    run_in_trouble("open_run", "misconfigured")
    probe = read(invoke)[0]["sinks"][1]
    assert (probe["state"], probe["delivering_pid"], probe["next_retry"]) == ("parked", None, None)


@pytest.mark.parametrize(("kind", "state"), [("unavailable", "retrying"), ("misconfigured", "parked")])
def test_a_back_off_is_visible(invoke: Invoke, root: Path, kind: str, state: str) -> None:
    """State, failures in a row, next try, and why."""
    sinks: list[Any] = [{"probe": {"out": str(root / "out"), "troubles": [{"hook": "open_run", "kind": kind}]}}]
    run = start_run("busy", sinks=sinks)
    try:
        deadline = time.monotonic() + 30
        while (sink := read(invoke)[0]["sinks"][0])["state"] != state or not sink["attempts"]:
            assert time.monotonic() < deadline, sink
        assert sink["next_retry"] / 1000 > time.time() - 5
        assert "for the tests" in sink["last_error"]
        text = " ".join(invoke("status").stdout.split())
        assert re.search(rf"probe {state} 0 \d 0 process \d+ delivers, \d+ failures?( in a row)?, next try in", text), (
            text
        )
        assert f"probe: {sink['last_error']}" in text
    finally:
        with pytest.warns(DeliveryWarning):
            run.finish(timeout=0)


def test_a_sink_that_hangs_is_visible(invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state is still "delivering"; what tells is that it has something to do and gets nowhere."""
    options = {"troubles": [{"hook": "log_metrics", "kind": "hang"}], "limits": {"DRAIN_STALL_S": 0.1}}
    run = start_run("busy", sinks=[{"probe": {"out": str(root / "out"), **options}}])
    try:
        run.log_metrics({"loss": 1.0}, step=0)
        deadline = time.monotonic() + 30
        while not (root / "out" / "trouble-0").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert read(invoke)[0]["sinks"][0]["stuck_since"] is None
        monkeypatch.setattr(status, "_STUCK_S", 0.1)
        time.sleep(0.2)
        sink = read(invoke)[0]["sinks"][0]
        assert (sink["state"], sink["stuck_since"] / 1000 < time.time()) == ("delivering", True)
        assert "delivers, in one call for" in " ".join(invoke("status").stdout.split())
    finally:
        with pytest.warns(DeliveryWarning):
            run.finish(timeout=0)


def test_counts_what_a_backend_refused(invoke: Invoke, root: Path, run_in_trouble: Callable[..., Run]) -> None:
    run_in_trouble("log_metrics", "rejected", value=2.0)
    probe = read(invoke, "stuck")[0]["sinks"][1]
    assert (probe["state"], probe["delivered"], probe["dead_lettered"]) == ("complete", 3, 1)
    assert "1 of them but for dead letters or damaged records" in invoke("status").stdout
    shown = " ".join(invoke("status", "--all").stdout.split())
    assert "probe complete but for 1 record" in shown
    assert "unitrack sync --dead-letters experiments/stuck" in shown
    assert "probe: 400 for the tests" in invoke("status", "--all").stdout


def test_a_running_run_names_its_courier(invoke: Invoke, root: Path) -> None:
    run = start_run("busy", sinks=["local"])
    try:
        run.log_metrics({"loss": 1.0}, step=0)
        run.flush(30)
        [state] = read(invoke)
        assert (state["status"], state["owner_pid"]) == ("running", os.getpid())
        courier = psutil.Process(state["sinks"][0]["delivering_pid"])
        assert "unitrack.delivery.courier" in courier.cmdline()
        assert "go on with" not in invoke("status").stdout
    finally:
        run.finish(timeout=30)


def test_a_deliverer_that_was_killed_delivers_no_more(invoke: Invoke, root: Path) -> None:
    """Its ledger still says "delivering"."""
    trainer = subprocess.run([sys.executable, "-c", SUDDEN_DEATH], timeout=60)
    assert trainer.returncode == -9
    [state] = read(invoke)
    assert state["status"] == "ended"
    assert (state["sinks"][0]["state"], state["sinks"][0]["delivering_pid"]) == ("pending", None)
    assert "go on with: unitrack sync experiments/dead" in invoke("status").stdout


def test_a_damaged_run_hides_no_other(invoke: Invoke, complete_run: Run, pending_run: Run) -> None:
    RunFolder(complete_run.path).manifest_file.write_text("{", encoding="utf-8")
    result = invoke("status")
    assert "stuck-1" in result.stdout
    assert result.stderr.startswith("experiments/done: not a run folder of unitrack")
    assert result.exit_code == 1


def test_is_quick_for_many_runs(invoke: Invoke, root: Path) -> None:
    """200 complete runs; a ledger takes well under a millisecond to read, so this fails for anything quadratic."""
    first = start_run("many", sinks=["local"], delivery="inline")
    first.finish()
    manifest = first.path / ".unitrack"
    for number in range(200):
        copy = root / "experiments" / f"copy-{number}" / ".unitrack"
        copy.mkdir(parents=True)
        for file in manifest.iterdir():
            os.link(file, copy / file.name)
    began = time.monotonic()
    assert invoke("status").stdout == "201 runs are complete (--all shows them)\n"
    assert time.monotonic() - began < 10


def test_a_state_is_of_one_moment(pending_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane may write the ledger while the state is read: the state and its reason come from the same ledger."""
    seen: set[Path] = set()

    def load(path: Path) -> Ledger:
        if path in seen:
            return Ledger(state="parked", attempts=1, last_error="why")
        seen.add(path)
        return Ledger()

    monkeypatch.setattr(Ledger, "load", load)
    for sink in read_run_state(RunFolder(pending_run.path)).sinks:
        assert (sink.attempts, sink.last_error) in [(0, None), (1, "why")]


def test_refused_points_are_told(invoke: Invoke, root: Path) -> None:
    """How many of which metric, and why the first: while the run goes on, after it, and by `show`."""
    config = {"safeguards": {"non_finite": "drop", "redact_patterns": ["hidden[0-9]+"]}}
    with start_run("odd", run_id="odd-1", sinks=["local"], delivery="inline", config=config) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        for step in (1, 2):
            with pytest.raises(TypeError, match="numeric"):
                run.log_metrics({"loss": "hidden7"}, step=step)
        run.log_metrics({"acc": float("nan")}, step=3)
    assert invoke("status").stdout.splitlines()[-1] == "log calls of 1 of them refused points: unitrack status odd-1"
    for command in ("status", "show"):
        told = invoke(command, "odd-1").stdout
        assert "2 points were refused of 'loss', the first at step 1: metric 'loss' must be numeric, got str" in told
        assert "1 point was refused of 'acc', the first at step 3: nan was dropped (safeguards.non_finite)" in told
        assert "hidden7" not in told
    [state] = read(invoke, "odd-1")
    assert [(one["metric"], one["points"], one["step"]) for one in state["refused"]] == [("loss", 2, 1), ("acc", 1, 3)]


def test_refused_points_of_a_killed_run_are_told(invoke: Invoke, root: Path) -> None:
    """The housekeeper writes them down within seconds."""
    code = (
        "import os, signal, time, unitrack\n"
        "run = unitrack.start_run('k', run_id='k-1', sinks=['local'], delivery='thread')\n"
        "try: run.log_metrics({'loss': 'high'}, step=4)\n"
        "except TypeError: pass\n"
        "while not (run.path / '.unitrack/refused.json').exists(): time.sleep(0.05)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -9
    [state] = read(invoke, "k-1")
    assert [(one["metric"], one["points"], one["step"]) for one in state["refused"]] == [("loss", 1, 4)]


def test_no_runs_names_those_nearby(
    invoke: Invoke, complete_run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command was called in another folder than training was: above it, or beside it."""
    folder = root / "src" / "model"
    folder.mkdir(parents=True)
    for place in (folder, root / "src"):
        monkeypatch.chdir(place)
        for command in ("status", "runs"):
            told = f"no runs in {place / 'experiments'} (tracking.root); 1 run in {root / 'experiments'}\n"
            assert invoke(command).stdout == told
