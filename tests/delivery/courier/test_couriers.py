"""Couriers: processes that deliver, whatever happens to them, to the trainer, or to one sink beside another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from unitrack_probe import calls, points, stored
from unitrack_tests.bench import trouble
from unitrack_tests.children import PREAMBLE, run_child

import unitrack
from unitrack import limits
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import read_report
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder

QUICK = {"RETRY_FIRST_S": 0.05, "RETRY_MAX_S": 0.2, "DRAIN_STALL_S": 0.2, "OWNER_POLL_S": 0.1}


def probe(root: Path, name: str = "probe", **options: Any) -> dict[str, dict[str, Any]]:
    """A probe sink whose backend lies in `<root>/<name>`, and whose courier has little patience."""
    return {name: {"out": str(root / name), "limits": QUICK, **options}}


def wait_until(happened: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something, and fail if it doesn't happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def state(run_folder: Path, sink: str = "probe") -> str:
    return Ledger.load(RunFolder(run_folder).ledger_file(sink)).state


def courier_pid(run: unitrack.Run, sink: str = "probe") -> int:
    """The process that delivers to a sink."""
    wait_until(lambda: Ledger.load(RunFolder(run.path).ledger_file(sink)).link)
    pid = Ledger.load(RunFolder(run.path).ledger_file(sink)).pid
    assert pid not in (None, os.getpid())
    return pid


TRAINER = """
import os, sys, time, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests run in a shell's background
import unitrack
sinks = json.loads(sys.argv[1])
run = unitrack.start_run("a", sinks=sinks, root=sys.argv[2])
"""


def train(root: Path, code: str, *, sinks: list[Any] | None = None, timeout: float = 60) -> subprocess.CompletedProcess:
    """Run training code in a process of its own; `run` is a run called "a"."""
    script = "import json\n" + TRAINER + code
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-c",
            script,
            json.dumps(sinks or ["local"]),
            str(root / "runs"),
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def local(root: Path) -> tuple[str, list[int]]:
    """Status and steps of the run "a" in its local files, once its delivery is complete."""
    folder = root / "runs" / "a"
    wait_until(lambda: state(folder, "local") == "complete")
    status = json.loads((folder / "metadata.json").read_text())["status"]
    return status, [r.step for r in LocalSource(str(folder)).records("a") if isinstance(r, Metrics)]


LOG = "run.log_metric('loss', 1.0)\n"


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        (LOG, "completed", 0),
        (LOG + "sys.exit(0)", "completed", 0),
        (LOG + "sys.exit(1)", "failed", 1),
        (LOG + "sys.exit('no data')", "failed", 1),
        (LOG + "try: sys.exit(1)\nfinally: print('cleaned up')", "failed", 1),
        (LOG + "try: sys.exit(1)\nexcept SystemExit: pass", "completed", 0),
        (LOG + "t = threading.Thread(target=sys.exit, args=[1]); t.start(); t.join()", "completed", 0),
        (LOG + "raise ValueError('x')", "failed", 1),
        (LOG + "raise KeyboardInterrupt", "killed", -signal.SIGINT),
        (LOG + "os._exit(5)", "failed", 5),
        (LOG + "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)", "killed", -signal.SIGTERM),
        (LOG + "os.kill(os.getpid(), signal.SIGKILL)", "failed", -signal.SIGKILL),
        (LOG + "with run:\n  sys.exit(1)", "failed", 1),
        (LOG + "with run:\n  sys.exit(0)", "completed", 0),
        (LOG + "with run:\n  os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "killed", -signal.SIGINT),
        (LOG + "os.abort()", "failed", -signal.SIGABRT),
    ],
)
def test_however_training_ends_its_run_ends_so(root: Path, code: str, status: str, exit_code: int) -> None:
    """With all that was logged, and with the exit code that it would have had without us."""
    ended = train(root, code)
    assert ended.returncode == exit_code, ended.stderr
    assert local(root) == (status, [0])


def test_sigterm_handlers_of_training_stay_theirs(root: Path) -> None:
    """Who handles the signal decides what it means."""
    ended = train(root, "", sinks=["local"])
    assert ended.returncode == 0
    script = (
        "import signal, os, sys, unitrack\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        f"with unitrack.start_run('b', root={str(root / 'runs')!r}) as run:\n"
        "    run.log_metric('loss', 1)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 9
    assert json.loads((root / "runs" / "b" / "metadata.json").read_text())["status"] == "failed"


def test_sigterm_is_watched_also_after_a_first_run_in_a_thread(root: Path) -> None:
    """Only the main thread can install a handler, so a later run does it."""
    code = (
        "thread = threading.Thread(target=lambda: unitrack.start_run('t', root=sys.argv[2]).finish())\n"
        "thread.start(); thread.join()\n" + LOG + "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)"
    )
    script = code.replace(LOG, 'run = unitrack.start_run("a", root=sys.argv[2])\n' + LOG)
    ended = subprocess.run(
        [sys.executable, "-c", "import os, sys, time, signal, threading, unitrack\n" + script, "", str(root / "runs")],
        timeout=60,
    )
    assert ended.returncode == -signal.SIGTERM
    assert local(root) == ("killed", [0])


def test_a_forked_child_logs_into_the_same_run(root: Path) -> None:
    """In a journal of its own with numbers of its own; the parent ends the run, and couriers are not doubled."""
    code = (
        LOG + "pid = os.fork()\n"
        "if pid == 0:\n"
        "    for step in range(1, 6): run.log_metrics({'child': float(step)}, step=step)\n"
        "    run.flush()\n"
        "    run.finish()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "run.log_metrics({'loss': 2.0}, step=9)\n"
        "import psutil\n"
        "print(len([p for p in psutil.Process().children(recursive=True) if 'courier' in ' '.join(p.cmdline())]))\n"
        "from unitrack.journal import *\n"
        "from unitrack.delivery.ledger import Ledger\n"
        "run.finish()\n"
    )
    ended = train(root, code, sinks=["local", probe(root)])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "2\n"
    status, steps = local(root)
    assert status == "completed"
    assert sorted(steps) == [0, 1, 2, 3, 4, 5, 9]
    records = stored(root / "probe")
    child = [record["seq"] for record in records if record["kind"] == "metrics" and "child" in record["metrics"]]
    assert child == [0, 1, 2, 3, 4]


def test_a_courier_that_dies_is_replaced(root: Path) -> None:
    """`kill -9` on the courier costs nothing, and is not even told."""
    with unitrack.start_run("a", sinks=[probe(root)], root=root / "runs") as run:
        run.log_metric("loss", 1.0)
        first = courier_pid(run)
        os.kill(first, signal.SIGKILL)
        for value in range(2, 6):
            run.log_metric("loss", float(value))
        run.flush()
        assert courier_pid(run) != first
    assert run.finish().ok
    assert points(root / "probe", "loss") == [(step, step + 1.0) for step in range(5)]


def test_a_courier_that_always_dies_is_parked_with_the_reason(root: Path) -> None:
    """A segfault in an SDK: restarted a few times, then reported, with everything kept."""
    sinks = ["local", probe(root, "probe2", troubles=[trouble("log_metrics", "die")])]
    run = unitrack.start_run("a", sinks=sinks, root=root / "runs")
    run.log_metric("loss", 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        report = run.finish(timeout=30)
    assert report["local"].ok
    assert report["probe2"].state == "parked"
    assert report["probe2"].pending >= 2
    assert "exit code 7" in (report["probe2"].last_error or "")
    assert "restarted 3 times" in (report["probe2"].last_error or "")
    assert len({call["pid"] for call in calls(root / "probe2")}) == limits.MAX_COURIER_RESTARTS + 1


@pytest.mark.parametrize("confirms_at_end_only", [False, True])
def test_a_courier_may_be_killed_as_often_as_it_gets_on(root: Path, confirms_at_end_only: bool) -> None:
    """Only deaths without progress count: a courier that the machine kills now and then is always replaced."""
    sinks = [probe(root, confirms_at_end_only=confirms_at_end_only)]
    with unitrack.start_run("a", sinks=sinks, root=root / "runs") as run:
        for value in range(limits.MAX_COURIER_RESTARTS + 2):
            run.log_metric("loss", float(value))
            run.flush()
            os.kill(courier_pid(run), signal.SIGKILL)
    assert run.finish().ok
    assert len(points(root / "probe", "loss")) == limits.MAX_COURIER_RESTARTS + 2


@pytest.mark.parametrize("kind", ["unavailable", "misconfigured", "unexpected", "exit", "hang"])
def test_a_sick_sink_is_not_felt_by_training_or_by_its_neighbour(root: Path, kind: str) -> None:
    """Neither in the time of a log call nor in what arrives; `finish(timeout)` keeps its word."""
    sinks = ["local", probe(root, "probe"), probe(root, "probe2", troubles=[trouble("log_metrics", kind)])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        run = unitrack.start_run("a", sinks=sinks, root=root / "runs")
        for step in range(200):
            run.log_metric("loss", float(step))
        began = time.monotonic()
        report = run.finish(timeout=3.0)
        assert time.monotonic() - began < 4.0
    assert report["local"].ok
    assert report["probe"].ok
    assert not report["probe2"].ok
    assert report["probe2"].pending >= 201  # the first line, the start of the run, may be confirmed
    assert report["probe2"].pending + report["probe2"].delivered == 202
    assert report["probe2"].dead_lettered == 0
    assert len(points(root / "probe", "loss")) == 200


def test_a_backend_that_comes_back_gets_everything(root: Path) -> None:
    """After some failures the lane goes on by itself."""
    sinks = [probe(root, troubles=[trouble("log_metrics", "unavailable", times=3)])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        with unitrack.start_run("a", sinks=sinks, root=root / "runs") as run:
            for step in range(20):
                run.log_metric("loss", float(step))
    assert run.finish().ok
    assert points(root / "probe", "loss") == [(step, float(step)) for step in range(20)]


def test_trouble_is_told_once_while_training_goes_on(root: Path) -> None:
    """One warning a sink and run; at the end one account with the way to go on."""
    sinks = [probe(root, troubles=[trouble("log_metrics", "misconfigured")])]
    run = unitrack.start_run("a", sinks=sinks, root=root / "runs")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run.log_metric("loss", 1)
        wait_until(lambda: told)
        run.log_metric("loss", 2)
        time.sleep(limits.HOUSEKEEPING_S * 1.5)
        assert len(told) == 1
        for says in ("'probe'", "'a'", "parked", "401 for the tests", "nothing is lost"):
            assert says in str(told[0].message)
    with pytest.warns(unitrack.DeliveryWarning, match=f"unitrack sync {run.path}"):
        run.finish()


def test_on_sink_error_raise_raises_at_flush_and_finish(root: Path) -> None:
    """And not before."""
    config = {"tracking": {"on_sink_error": "raise"}}
    sinks = [probe(root, troubles=[trouble("log_metrics", "misconfigured")])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        run = unitrack.start_run("a", sinks=sinks, config=config, root=root / "runs")
        run.log_metric("loss", 1)
        for wait in (run.flush, run.finish):
            with pytest.raises(unitrack.DeliveryError, match="401 for the tests"):
                wait()
    assert not run.finish().ok


def test_two_runs_share_a_courier(root: Path) -> None:
    """One process a backend, however many runs."""
    first = unitrack.start_run("a", sinks=[probe(root)], root=root / "runs")
    second = unitrack.start_run("b", sinks=[{"probe": {"out": str(root / "other")}}], root=root / "runs")
    assert courier_pid(first) == courier_pid(second)
    for run in (first, second):
        run.log_metric("loss", 1)
        assert run.finish().ok
    assert len(points(root / "probe", "loss")) == len(points(root / "other", "loss")) == 1


def test_where_no_process_can_be_started_a_thread_delivers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and everything arrives."""
    from unitrack.delivery.courier import pool

    monkeypatch.setattr(pool, "pool", pool.CourierPool())
    import unitrack.delivery.modes as modes

    monkeypatch.setattr(modes, "pool", pool.pool)
    monkeypatch.setattr(sys, "executable", None)
    with pytest.warns(UserWarning, match="can't start a courier") as told:
        run = unitrack.start_run("a", sinks=["local"], root=root / "runs")
    assert len(told) == 1
    run.log_metric("loss", 1)
    assert run.finish().ok


def test_a_killed_trainer_leaves_a_failed_run_within_seconds(root: Path) -> None:
    """In every sink, with all that was logged, and no courier stays."""
    code = "for step in range(500): run.log_metric('loss', float(step))\nos.kill(os.getpid(), signal.SIGKILL)"
    began = time.monotonic()
    ended = train(root, code, sinks=["local", probe(root)])
    assert ended.returncode == -signal.SIGKILL
    assert local(root) == ("failed", list(range(500)))
    wait_until(lambda: state(root / "runs" / "a") == "complete")
    assert time.monotonic() - began < 15
    assert [step for step, _ in points(root / "probe", "loss")] == list(range(500))
    assert json.loads((root / "probe" / "ended.json").read_text())["status"] == "failed"
    pid = Ledger.load(RunFolder(root / "runs" / "a").ledger_file("probe")).pid
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_courier_whose_sink_hangs_leaves_after_its_owner(root: Path) -> None:
    """A call that never returns keeps nobody alive for ever; the rest is for `unitrack sync`."""
    patience = {**QUICK, "DRAIN_STALL_S": 0.1}
    sinks = [probe(root, "probe", troubles=[trouble("log_metrics", "hang")], limits=patience)]
    log = root / "probe" / "calls.jsonl"
    called = f"from pathlib import Path\nlog = Path({str(log)!r})\n"
    called += "while not log.exists() or 'log_metrics' not in log.read_text(): time.sleep(0.05)\n"
    ended = train(root, LOG + called + "os._exit(0)", sinks=sinks)
    assert ended.returncode == 0
    pid = calls(root / "probe")[0]["pid"]
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert read_report(RunFolder(root / "runs" / "a"))["probe"].pending >= 1


def test_finish_does_not_wait_for_a_sink_that_is_down_for_good(root: Path) -> None:
    """Without a timeout of its own it gives up once the sink has failed again and again."""
    sinks = [probe(root, troubles=[trouble("open_run", "unavailable")])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        run = unitrack.start_run("a", sinks=sinks, root=root / "runs")
        run.log_metric("loss", 1)
        began = time.monotonic()
        report = run.finish()
    assert time.monotonic() - began < 15
    assert report["probe"].state == "retrying"
    assert report["probe"].pending == 3


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_a_resumed_run_waits_for_the_sink_that_was_parked_before(root: Path, delivery: Any) -> None:
    """The state of the last session says nothing about this one."""
    mended = probe(root)
    broken = probe(root, troubles=[trouble("log_metrics", "misconfigured")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)
        run = unitrack.start_run("a", run_id="r", sinks=[broken], delivery=delivery, root=root / "runs")
        run.log_metric("loss", 1)
        assert run.finish()["probe"].state == "parked"
    run = unitrack.start_run("a", run_id="r", sinks=[mended], resume="must", delivery=delivery, root=root / "runs")
    run.log_metric("loss", 2)
    assert run.finish().ok
    assert points(root / "probe", "loss") == [(0, 1.0), (1, 2.0)]


@pytest.mark.parametrize("delivery", ["process", "thread"])
def test_system_metrics_arrive_in_all_sinks(root: Path, delivery: Any) -> None:
    """The same samples everywhere, at their own interval, not thinned."""
    config = {"logging": {"log_system_metrics": True, "system_metrics_interval": 0.1, "log_frequency": 50}}
    sinks = ["local", probe(root)]
    with unitrack.start_run("a", sinks=sinks, config=config, delivery=delivery, root=root / "runs") as run:
        run.log_metric("loss", 1)
        wait_until(lambda: len(points(root / "probe", "system/memory_percent")) >= 3)
    assert run.finish().ok
    sampled = points(root / "probe", "system/memory_percent")
    steps = [step for step, _ in sampled]
    assert steps == sorted(steps)
    names = {name for record in stored(root / "probe") for name in record.get("metrics", {})}
    assert {"system/cpu_percent", "system/process_memory_mib", "system/disk_used_percent"} <= names
    records = [r for r in LocalSource(str(run.path)).records("a") if isinstance(r, Metrics)]
    assert [r.metrics["system/memory_percent"] for r in records if "loss" not in r.metrics] == [v for _, v in sampled]


def test_flush_right_after_a_rotation_does_not_wait_in_vain(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new segment has no line yet, and the old one is delivered: that is everything."""
    from unitrack.journal import JournalWriter
    from unitrack.run import start

    monkeypatch.setattr(start, "JournalWriter", lambda spool: JournalWriter(spool, segment_bytes=10))
    with unitrack.start_run("a", sinks=["local"], delivery="thread", root=root / "runs") as run:
        run.log_metric("loss", 1)
        began = time.monotonic()
        assert run.flush(timeout=10).ok
        assert time.monotonic() - began < 5


def test_a_deleted_run_folder_is_told_and_hangs_nobody(root: Path) -> None:
    """Somebody cleans up while training runs: the couriers forget it."""
    import shutil

    run = unitrack.start_run("a", sinks=["local"], root=root / "runs")
    run.log_metric("loss", 1)
    run.flush()
    while run.path.exists():  # the courier may write its ledger at that very moment
        shutil.rmtree(run.path, ignore_errors=True)
    with pytest.warns(unitrack.DeliveryWarning, match="was deleted"):
        assert not run.finish(timeout=2).ok
    with unitrack.start_run("b", sinks=["local"], root=root / "runs") as other:
        other.log_metric("loss", 1)
    assert other.finish().ok


NICE = """
[nice] = sys.argv[1:]
run = unitrack.start_run("a", sinks=["local"], config={"tracking": {"courier_nice": int(nice)}})
run.flush(timeout=60)
from unitrack.delivery.ledger import Ledger
pid = Ledger.load(run.path / ".unitrack" / "local.ledger.json").pid
group = f"/proc/{pid}/autogroup"
print(json.dumps([
    os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0),
    int(open(group).read().split()[-1]) if os.path.exists(group) else int(nice),
]))
"""


def test_a_run_that_starts_with_another_key_gets_another_courier(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook that sets a key which was missing. The runs before it keep theirs until they have ended."""
    monkeypatch.setenv("SERVICE_API_KEY", "old")
    first = unitrack.start_run("a", sinks=probe(root))
    old = courier_pid(first)
    monkeypatch.setenv("OTHER_SETTING", "changed")
    beside = unitrack.start_run("b", sinks=probe(root))
    assert courier_pid(beside) == old
    monkeypatch.setenv("SERVICE_API_KEY", "new")
    second = unitrack.start_run("c", sinks=probe(root))
    new = courier_pid(second)
    assert psutil.Process(new).environ()["SERVICE_API_KEY"] == "new"
    first.log_metrics({"loss": 1.0})
    assert all(run.finish(timeout=30).ok for run in (first, beside, second))
    process = psutil.Process(old)
    monkeypatch.setenv("SERVICE_API_KEY", "newer")
    third = unitrack.start_run("d", sinks=probe(root))
    assert courier_pid(third) not in (old, new)
    assert third.finish(timeout=30).ok
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("nice", [0, 7])
def test_couriers_step_back_behind_training(root: Path, nice: int) -> None:
    """By their own priority, and by that of their session, as the kernel may share the processor by session."""
    done = run_child("-c", PREAMBLE + NICE, str(nice), cwd=root)
    assert json.loads(done.stdout) == [nice, nice]
