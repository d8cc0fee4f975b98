"""`unitrack sync --watch`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result
from unitrack_probe import calls, points
from unitrack_tests.bench import Bench
from unitrack_tests.children import wait_until

from unitrack import Run
from unitrack.cli import sync_watch
from unitrack.cli.sync_watch import SyncWatch
from unitrack.errors import ConfigError

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_watch, "_LOOK_S", 0.05)


class Watching(threading.Thread):
    """A watch that goes on until the test stops it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.told: list[Any] = []
        self._stopped = False
        self.watch = SyncWatch([str(folder)], None, lambda folder, change: self.told.append(change))

    def run(self) -> None:
        while not self._stopped:
            self.watch.go_on(time.monotonic() + 0.2)

    def stop(self) -> None:
        self._stopped = True
        self.join()


def test_new_runs_and_new_data_are_delivered_as_they_come(root: Path) -> None:
    """Of a run that is being logged, and in a folder that has no run at first; a line when a state changes."""
    (root / "runs").mkdir()
    watching = Watching(root / "runs")
    watching.start()
    first = Bench(root, {"a": {"out": str(root / "first")}})
    first.points(1.0)
    wait_until(lambda: points(root / "first", "loss") == [(0, 1.0)])
    first.points(2.0, first_step=1)
    wait_until(lambda: points(root / "first", "loss") == [(0, 1.0), (1, 2.0)])
    assert watching.watch.is_anything_pending() is False
    second = Bench(root, {"a": {"out": str(root / "second")}})
    second.points(3.0)
    second.end()
    first.end()
    wait_until(lambda: not first.folder.spool.exists() and not second.folder.spool.exists())
    wait_until(lambda: {state.status for state in watching.told} >= {"finished"})
    watching.stop()
    assert len(watching.told) <= 4
    assert not watching.watch.is_anything_pending()


def test_it_is_cheap_when_there_is_nothing_to_do(root: Path) -> None:
    """Nothing is opened again for a run that has got everything so far."""
    bench = Bench(root, {"a": {"out": str(root / "backend")}})
    bench.points(1.0)
    watching = Watching(root / "runs")
    watching.start()
    wait_until(lambda: points(root / "backend", "loss"))
    wait_until(lambda: calls(root / "backend")[-1]["hook"] == "close")
    before = len(calls(root / "backend"))
    looks: list[object] = []
    original = watching.watch._find
    watching.watch._find = lambda: looks.append(1) or original()  # type: ignore[method-assign,func-returns-value]
    wait_until(lambda: len(looks) > 5)
    watching.stop()
    assert len(calls(root / "backend")) == before


def test_a_dead_server_makes_one_line_and_exit_code_1(
    invoke: Invoke, root: Path, run_in_trouble: Callable[..., Run]
) -> None:
    run_in_trouble("open_run", "misconfigured")
    result = invoke("sync", "--watch", "--timeout", 4)
    assert result.exit_code == 1
    [line] = result.stdout.splitlines()
    assert line.endswith("experiments/stuck  ended: local complete; probe parked, 4 pending (401 for the tests)")
    assert sum(call["hook"] == "open_run" for call in calls(root / "backend")) > 1


def test_json_is_an_object_a_line(invoke: Invoke, root: Path, pending_run: Run) -> None:
    result = invoke("sync", "stuck-1", "--watch", "--timeout", 3, "--json")
    assert result.exit_code == 0
    states = [json.loads(line) for line in result.stdout.splitlines()]
    assert states[-1]["status"] == "finished"
    assert points(root / "backend", "loss") == [(0, 1.0), (1, 2.0)]


def test_to_a_new_sink_once_each(invoke: Invoke, root: Path, complete_run: Run) -> None:
    (root / "unitrack.yaml").write_text(
        f"tracking: {{sinks: [{{probe: {{name: second, out: '{root / 'second'}'}}}}]}}", encoding="utf-8"
    )
    assert invoke("sync", "--watch", "--to", "second", "--timeout", 3).exit_code == 0
    assert points(root / "second", "loss") == [(0, 3.0), (1, 1.0), (2, 2.0)]
    assert sum(call["hook"] == "open_run" for call in calls(root / "second")) == 1


def test_what_means_nothing_is_an_error_at_once(root: Path) -> None:
    with pytest.raises(ConfigError, match="neither a folder with runs nor a run"):
        SyncWatch(["nonsense"], None, lambda folder, change: None).go_on(time.monotonic() + 60)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(root: Path, pending_run: Run, signum: int) -> None:
    program = Path(sys.executable).with_name("unitrack")
    watching = subprocess.Popen(
        [program, "sync", "--watch"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs have it ignored
    )
    wait_until(lambda: not (pending_run.path / ".spool").exists())
    assert watching.stdout is not None
    assert watching.stdout.readline().endswith("finished: local complete; probe complete\n")
    watching.send_signal(signum)
    rest, _ = watching.communicate(timeout=30)
    assert (watching.returncode, rest) == (0, "")
