"""The end: `finish` and the interpreter's exit are bounded whatever the sinks do, and lose nothing."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from unitrack_probe import points
from unitrack_tests.children import curve, is_alive, lost_and_doubled, points_in, train, wait_until
from unitrack_tests.faults import FULL, figure, rounds

import unitrack
from unitrack import limits
from unitrack.delivery.sync import sync_run
from unitrack.errors import RunFinishedError
from unitrack.runfolder.run_folder import RunFolder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

ALLOWANCE_S = 15.0
"""For a machine that does much else: promises are about bounds, and a bound that is broken is broken by minutes."""

TIMEOUTS = (0.0, 0.5, 3.0) if FULL else (0.5,)
DEAD_SINKS = [
    *((kind, "process") for kind in ("refused", "hangs", "hangs in C", "hangs at its end", "stopped")),
    *((kind, "thread") for kind in ("refused", "hangs", "hangs at its end")),  # the others would stop training as well
]

FINISH = """
import psutil
kind, timeout, delivery = sys.argv[1], float(sys.argv[2]), sys.argv[3]
hook, trouble, times = {
    "refused": ("open_run", "unavailable", 10**6),
    "hangs": ("log_metrics", "hang", 1),
    "hangs in C": ("log_metrics", "keep_lock", 1),
    "hangs at its end": ("end_run", "hang", 1),
    "stopped": ("log_metrics", "stop", 1),
}[kind]
probe = {"out": os.path.abspath("probe"), "troubles": [{"hook": hook, "kind": trouble, "times": times}]}
run = unitrack.start_run("dead", sinks=[{"probe": probe}], root="runs", delivery=delivery)
run.log_metrics({"loss": 0.0}, step=0)
deadline = time.monotonic() + 60
while kind != "hangs at its end" and not os.path.exists("probe/trouble-0") and time.monotonic() < deadline:
    time.sleep(0.01)
for step in range(1, 50):
    run.log_metrics({"loss": step / 7}, step=step)
began = time.monotonic()
report = run.finish(timeout=timeout)
ended = time.monotonic()
couriers = [courier.pid for courier in psutil.Process().children()]
print(json.dumps([ended - began, ended, report["probe"].state, couriers]))
"""


@pytest.mark.parametrize(("kind", "delivery"), DEAD_SINKS)
def test_finish_returns_in_time(root: Path, kind: str, delivery: str) -> None:
    """By its timeout and a second, whatever the sink does; the interpreter leaves at once then; `sync` has the rest."""
    over = leaving = 0.0
    for number, timeout in enumerate(TIMEOUTS):
        folder = root / str(number)
        folder.mkdir()
        [[took, ended, state, couriers]] = train(folder, FINISH, kind, str(timeout), delivery)
        leaving = max(leaving, time.monotonic() - ended)
        over = max(over, took - timeout)
        assert state != "complete"
        if kind == "hangs at its end":
            wait_until(lambda folder=folder: (folder / "probe" / "trouble-0").exists())
        for courier in couriers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(courier, signal.SIGKILL)
            wait_until(lambda courier=courier: not is_alive(courier))
        run = RunFolder(folder / "runs" / "dead")
        if kind == "refused":
            continue
        wait_until(lambda run=run: sync_run(run, timeout=60).ok)  # or the courier that came after
        found = [("loss", *point) for point in points(folder / "probe", "loss")]
        assert lost_and_doubled(curve("loss", 50), found) == (0, 0)
    row = f"finish(timeout=t), the sink {'is ' if kind in ('refused', 'stopped') else ''}{kind}, {delivery}"
    figure("Exit", row, limit="t + 1 s", longest=f"t + {max(over, 0.0):.2f} s", then_the_interpreter=f"{leaving:.2f} s")
    assert over < 1 + ALLOWANCE_S
    assert leaving < ALLOWANCE_S


EXIT = """
import atexit, psutil, signal, unitrack.run.lifecycle
unitrack.run.lifecycle.EXIT_TIMEOUT_S = float(sys.argv[2])
returned = {}
couriers = lambda: [child.pid for child in psutil.Process().children()]
atexit.register(lambda: print(json.dumps([returned, time.monotonic(), couriers()]), flush=True))  # after unitrack's

def start(name="a"):
    return unitrack.start_run(name, root="runs", sinks=json.loads(sys.argv[1]), delivery=sys.argv[3])

def log(run, name="main", most=100):
    for step in range(most):
        try:
            run.log_metrics({name: step / 7}, step=step)
        except unitrack.RunFinishedError:
            return
        returned[name] = step + 1
"""

WAYS = {
    "without finish": "run = start()\nlog(run)",
    "daemon threads still log": (
        "run = start()\n"
        "threads = [threading.Thread(target=log, args=(run, f't{n}', 10**9), daemon=True) for n in range(4)]\n"
        "[thread.start() for thread in threads]\ntime.sleep(0.2)"
    ),
    "other threads log on": (
        "run = start()\n"
        "late = lambda name: (time.sleep(0.2), log(run, name))\n"
        "[threading.Thread(target=late, args=(f't{n}',)).start() for n in range(4)]\nlog(run)"
    ),
    "finish in atexit": "run = start()\nlog(run)\natexit.register(run.finish)",
    "finish in atexit, before ours": "atexit.register(lambda: run.finish())\nrun = start()\nlog(run)",
    "finish in a thread": (
        "run = start()\nlog(run)\nthread = threading.Thread(target=run.finish)\nthread.start()\n"
        "run.finish()\nthread.join()"
    ),
    "finish in __del__": (
        "class Model:\n    def __del__(self):\n        self.run.finish()\n"
        "model = Model()\nmodel.run = start()\nlog(model.run)"
    ),
    "finish in a signal handler": (
        "run = start()\nsignal.signal(signal.SIGALRM, lambda *_: run.finish())\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)\nlog(run, most=10**9)"
    ),
    "with in with": "run = start()\nwith run:\n    with run:\n        log(run)\n    assert run.finish().ok",
    "runs in runs": (
        "with start() as outer:\n    with start('b') as run:\n        log(run, 'b')\n    log(outer)\n"
        "run = start('c')\nlog(run, 'c')"
    ),
    "a forked child that exits": (
        "run = start()\nchild = os.fork()\nlog(run, 'child' if child == 0 else 'main')\n"
        "if child == 0:\n    returned.clear()\n    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\n    sys.exit(3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\nreturned['child'] = 100"
    ),
    "a forked child that leaves `with`": (
        "with start() as run:\n    child = os.fork()\n    log(run, 'child' if child == 0 else 'main')\n"
        "    if child == 0:\n        returned.clear()\n        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\n"
        "        sys.exit(0)\n    os.waitpid(child, 0)\nreturned['child'] = 100"
    ),
    "an exception in a callback": (
        "def callback():\n    raise RuntimeError\nsys.excepthook = lambda *_: os.dup2(2, 2)\n"
        "try:\n    with start() as run:\n        log(run)\n        callback()\nexcept RuntimeError:\n    pass"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_exit_loses_nothing(root: Path, way: str) -> None:
    """However training ends, and whoever ends the run: what a call returned for is there, once."""
    code = EXIT + WAYS[way]
    delivery = "process" if FULL or way in ("without finish", "daemon threads still log") else "thread"
    logged, found = [], []
    for number in range(rounds(short=1, full=5)):
        folder = root / str(number)
        folder.mkdir()
        [[returned, _, _]] = train(folder, code, '["local"]', "60", delivery)
        logged += [point for name, count in returned.items() for point in curve(name, count)]
        for run in (folder / "runs").iterdir():
            wait_until(lambda run=run: not (run / ".spool").exists())
            found += points_in(run)
            status = json.loads((run / "metadata.json").read_text())["status"]
            assert status == ("failed" if "exception" in way else "completed")
    lost, doubled = lost_and_doubled(logged, found)
    figure("Ways to leave", way, exits=rounds(1, 5), points=len(logged), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


@pytest.mark.parametrize("runs", [1, 3])
def test_an_exit_without_finish_is_bounded(root: Path, runs: int) -> None:
    """By ten seconds for all runs together, though their sink hangs; a courier has what is left."""
    limit = limits.EXIT_TIMEOUT_S if FULL else 1.0
    probe = {"probe": {"out": str(root / "probe"), "troubles": [{"hook": "log_metrics", "kind": "hang"}]}}
    code = (
        EXIT
        + f"for n in range({runs}):\n    log(start(f'run{{n}}'))\n"
        + "while not os.path.exists('probe/trouble-0'):\n    time.sleep(0.01)\nprint(time.monotonic(), flush=True)"
    )
    began, [_, ended, couriers] = train(root, code, json.dumps([probe]), str(limit), "process")
    left = time.monotonic()
    figure(
        "Exit",
        f"exit without finish, {runs} open",
        limit=f"{limit:g} + 1 s",
        longest=f"{ended - began:.2f} s",
        then_the_interpreter=f"{left - ended:.2f} s",
    )
    assert ended - began < limit + 1 + ALLOWANCE_S
    assert left - ended < ALLOWANCE_S
    for courier in couriers:
        os.kill(courier, signal.SIGKILL)


def test_what_is_logged_after_finish_is_an_error(root: Path) -> None:
    """Of every method that logs, and it says so; what only asks is answered."""
    run = unitrack.start_run("done", sinks=["local"], root=root / "runs", delivery="inline")
    run.log_metric("loss", 0.5, step=0)
    report = run.finish()
    assert run.finish() is report
    assert run.finish("failed", timeout=0.0) is report
    assert run.flush() is report
    assert run.links().keys() == {"local"}
    (root / "file.bin").write_bytes(b"1")
    (root / "train.py").write_bytes(b"1")
    given: dict[str, tuple[Any, ...]] = {
        "log_metrics": ({"loss": 1.0},),
        "log_metric": ("loss", 1.0),
        "log_params": ({"lr": 1},),
        "log_param": ("lr", 1),
        "set_tags": ({"tag": "x"},),
        "log_environment": (),
        "log_artifact": ("file.bin",),
        "log_artifacts": (".",),
        "log_code": (".", "code"),
        "log_text": ("text", "a.txt"),
        "log_dict": ({"a": 1}, "a.json"),
        "log_figure": (_Figure(), "figure"),
        "log_image": ("file.bin", "image"),
        "log_histogram": (([1, 2], [0.0, 1.0, 2.0]), "histogram"),
        "log_hparams": ({"lr": 1}, {"acc": 1.0}),
        "log_pr_curve": ([0, 1], [0.5, 0.75], "curve"),
        "log_embedding": ([[0.5, 1.0]], "embedding"),
        "log_graph": (None,),
        "log_table": ([{"a": 1}], "table"),
        "log_audio": ("file.bin", "audio"),
        "log_video": ("file.bin", "video"),
        "log_html": ("<p>", "page"),
        "log_model": ("file.bin",),
        "log_dataset": ("file.bin",),
        "log_checkpoint": ({"a": 1}, 0),
        "load_state_dict": ({"run_id": run.id, "step": 1},),
    }
    logging = {name for name, _ in inspect.getmembers(run, callable) if name.startswith(("log_", "set_", "load_"))}
    assert logging == given.keys()
    before = sorted(path for path in run.path.rglob("*"))
    for name, arguments in given.items():
        with pytest.raises(RunFinishedError, match="has finished"):
            getattr(run, name)(*arguments)
    assert sorted(path for path in run.path.rglob("*")) == before


class _Figure:
    """What a matplotlib figure is to a run."""

    def savefig(self, file: Any, **_: Any) -> None:
        file.write(b"1")


STOPPED = """
import psutil, signal
sys.path += [f"/nowhere/{number}" * 100 for number in range(20)]  # an order of 20 kB: four of them fill a pipe
runs = [unitrack.start_run("stopped", sinks=["local"], root="runs")]
runs[0].flush(timeout=60)
[courier] = psutil.Process().children()
courier.send_signal(signal.SIGSTOP)
for number in range(8):
    runs.append(unitrack.start_run("stopped", sinks=["local"], root="runs"))
    runs[-1].log_metrics({"loss": 0.0}, step=0)
courier.send_signal(signal.SIGCONT)
print(json.dumps([run.finish(timeout=60).ok for run in runs]))
"""


def test_starting_a_run_does_not_wait_for_a_courier_that_is_stopped(root: Path) -> None:
    """It reads no orders, and its pipe takes only so many: the others are kept until it goes on."""
    assert train(root, STOPPED) == [[True] * 9]
