"""Clocks: the wall clock is set a day forth and back, to 1970 and before it, and to other time zones.

Setting the machine's clock is not for tests. Processes of these tests have a wall clock of their own: a module that
Python imports at start, in training as in couriers, adds to the real time what stands in a file at that moment.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import struct
import time
from pathlib import Path

import pytest
from unitrack_probe import calls, points, stored
from unitrack_tests.children import curve, lost_and_doubled, train
from unitrack_tests.faults import FULL, figure, rounds

import unitrack
from unitrack import limits
from unitrack.journal import JournalWriter, find_writers
from unitrack.local.source import LocalSource
from unitrack.records import Metrics, RunEnd

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

TABLE = "Clocks"
DAY = 86_400
INSTALLED = [
    name
    for name in (("tensorboard", "wandb", "mlflow", "trackio", "sql") if FULL else ("tensorboard",))
    if importlib.util.find_spec(f"unitrack_{name}")
]

OWN_CLOCK = """
import mmap, os, struct, time
file = os.open(os.environ["OWN_CLOCK"], os.O_RDONLY)
offset, real = mmap.mmap(file, 8, prot=mmap.PROT_READ), time.time_ns
time.time_ns = lambda: real() + struct.unpack("q", offset[:])[0]
time.time = lambda: time.time_ns() / 1e9
"""

SET_CLOCK = """
import struct

def jump(seconds):
    '''Set the clock to what it really is, and so many seconds.'''
    with open(os.environ["OWN_CLOCK"], "r+b") as file:
        file.write(struct.pack("q", int(seconds * 1e9)))
"""


@pytest.fixture
def clock(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how many nanoseconds the clock of all child processes is wrong."""
    site = root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(OWN_CLOCK)
    file = root / "clock"
    file.write_bytes(struct.pack("q", 0))
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.setenv("OWN_CLOCK", str(file))
    return file


def set_clock(clock: Path, seconds: float) -> None:
    with clock.open("r+b") as file:
        file.write(struct.pack("q", int(seconds * 1e9)))


JUMPS = (
    SET_CLOCK
    + """
from unitrack.delivery.status import read_run_state
from unitrack.runfolder.run_folder import RunFolder
jumps, count = json.loads(sys.argv[1]), int(sys.argv[2])
run = unitrack.start_run("jumps", root="runs", sinks=json.loads(sys.argv[3]))
run.flush(timeout=300)  # until all are there, MLflow on a busy machine as well
times, states = [], []
for step in range(count):
    if step % 10 == 0:
        jump(jumps[step // 10 % len(jumps)])
        state = read_run_state(RunFolder(run.path))
        states.append([state.status, [sink.delivering_pid is not None for sink in state.sinks]])
    before = time.time_ns() // 1_000_000
    run.log_metrics({"loss": step / 7}, step=step)
    times.append([before, time.time_ns() // 1_000_000])
    time.sleep(0.001)
report = run.finish(timeout=100)
links = {name: [link.location, link.id] for name, link in run.links().items()}
print(json.dumps([times, states, report.ok, str(report), links]))
"""
)

CASES = {
    "a day forth and back": [0.0, DAY, -DAY],
    "to 1970 and back": [0.0, -time.time() + 1],
    "before 1970": [-time.time() - DAY, -time.time() - 10 * 365 * DAY],
}


@pytest.mark.parametrize("case", CASES)
def test_a_clock_that_is_set_while_training_logs(root: Path, clock: Path, case: str) -> None:
    """Points arrive once, in the order of the calls, each with the time that the clock then showed."""
    options = {"mlflow": {"tracking_uri": f"sqlite:///{root / 'mlflow.db'}"}, "wandb": {"mode": "offline"}}
    installed = [name for name in INSTALLED if name == "tensorboard" or case == "a day forth and back"]
    sinks = ["local", {"probe": {"out": str(root / "probe")}}, *({name: options.get(name, {})} for name in installed)]
    count = rounds(short=100, full=1000)
    [[times, states, ok, report, links]] = train(
        root, JUMPS, json.dumps(CASES[case]), str(count), json.dumps(sinks), timeout=500
    )
    assert ok, report
    assert states == [["running", [True] * len(sinks)]] * len(states)  # who is alive is no question of the clock
    folder = root / "runs" / "jumps"
    records = [record for record in LocalSource(str(folder)).records("jumps") if isinstance(record, Metrics)]
    assert [(record.step, record.metrics["loss"]) for record in records] == [(step, step / 7) for step in range(count)]
    for record, (before, after) in zip(records, times, strict=True):
        assert before <= record.time <= after or after < 0  # Linux lets nobody set that, and MLflow takes no such time
    assert points(root / "probe", "loss") == [(step, step / 7) for step in range(count)]
    for name in ("local", *installed):
        location, run_id = links[name]
        run = unitrack.runs(f"{name}:{location}").find(run_id)
        found = [("loss", step, value) for step, value, _ in run.history("loss")]
        lost, doubled = lost_and_doubled(curve("loss", count), found)
        figure(TABLE, f"{case}, {name}", jumps=count // 10, points=count, lost=lost, doubled=doubled)
        assert (lost, doubled) == (0, 0), name


LIFE = """
number, sinks = int(sys.argv[1]), json.loads(sys.argv[2])
run = unitrack.start_run("lives", run_id="lives", resume="allow", root="runs", sinks=sinks)
for step in range(number * 10_000, (number + 1) * 10_000):
    run.log_metrics({"a name as long as a name of a metric may well be": step / 7}, step=step)
    if step % 3_000 == 0:
        run.log_params({"life": step})
if number == 0:
    os._exit(1 - 1)
print(json.dumps(run.finish(timeout=100).ok))
"""


def test_a_run_that_is_resumed_after_the_clock_was_set_back(root: Path, clock: Path) -> None:
    """What was logged first is delivered first, though there is a lot of it: the last value of a param is the last."""
    down = {"out": str(root / "probe"), "limits": {"DRAIN_STALL_S": 0.1}}
    down["troubles"] = [{"hook": "open_run", "kind": "unavailable"}]  # type: ignore[assignment]
    set_clock(clock, DAY)
    assert train(root, LIFE, "0", json.dumps([{"probe": down}])) == []
    set_clock(clock, 0)
    assert train(root, LIFE, "1", json.dumps([{"probe": {"out": str(root / "probe")}}])) == [True]
    found = stored(root / "probe")
    steps = [record["step"] for record in found if record["kind"] == "metrics"]
    lives = [record["params"]["life"] for record in found if record["kind"] == "params"]
    lost, doubled = 20_000 - len(set(steps)), len(steps) - len(set(steps))
    figure(TABLE, "a day back between two lives of a run", jumps=1, points=20_000, lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)
    assert steps == sorted(steps)
    assert lives == sorted(lives)


@pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["forth", "back"])
def test_back_off_knows_no_wall_clock(root: Path, clock: Path, seconds: int) -> None:
    """The clock is set while a sink is down: it is neither tried again at once, nor a day later."""
    code = SET_CLOCK + (
        "sink = {'probe': {'out': os.path.abspath('probe'), 'troubles': json.loads(sys.argv[2])}}\n"
        "run = unitrack.start_run('down', root='runs', sinks=[sink])\n"
        "run.log_metrics({'loss': 0.0}, step=0)\n"
        "while not os.path.exists('probe/trouble-0'):\n    time.sleep(0.01)\n"
        "jump(float(sys.argv[1]))\n"
        "print(json.dumps(run.finish(timeout=100).ok))"
    )
    troubles = [{"hook": "open_run", "kind": "must_reopen", "times": 3}]
    assert train(root, code, str(seconds), json.dumps(troubles)) == [True]
    opened = [call["time"] for call in calls(root / "probe") if call["hook"] == "open_run"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(opened)]
    assert len(pauses) == 3
    assert min(pauses) >= limits.RETRY_FIRST_S / 2  # the least that the back-off may be
    way = "forth" if seconds > 0 else "back"
    figure(
        TABLE,
        f"a day {way} while a sink is down",
        jumps=1,
        points=1,
        lost=0,
        doubled=0,
        tries_after=", ".join(f"{pause:.2f} s" for pause in pauses),
    )


def test_journals_are_named_in_the_order_of_their_birth(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers take them in the order of their names, so a clock that goes back, or is before 1970, must not tell it."""
    born = []
    for seconds in (5.0, 2_000_000_000.0, 1_000_000_000.0, 0.0, -1_000_000_000.0, 2_000_000_001.0):
        monkeypatch.setattr(time, "time_ns", lambda seconds=seconds: int(seconds * 1e9))
        journal = JournalWriter(root)
        journal.close()
        born.append(journal.writer)
    assert list(find_writers(root)) == born


SUMMER = 1_793_511_000  # 2026-11-01 01:30 in New York, an hour before the same time of day comes again

NIGHT = (
    SET_CLOCK
    + f"""
begin = {SUMMER} - time.time()
jump(begin)
run = unitrack.start_run("night", sinks=["local"], root="runs", delivery="inline")
jump(begin + 3600)
run.log_metrics({{"loss": 0.5}}, step=0)
end = time.time_ns() // 1_000_000
run.finish()
print(json.dumps([end, time.time_ns() // 1_000_000]))
"""
)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_a_run_over_the_end_of_summer_time(root: Path, clock: Path, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took an hour, wherever it is read: times are kept as milliseconds beside the local ones."""
    monkeypatch.setenv("TZ", "America/New_York")
    [[least, most]] = train(root, NIGHT)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        [run] = unitrack.runs(root / "runs")
        start, *_, end = LocalSource(str(root / "runs")).records(run.id)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert isinstance(end, RunEnd)
    assert least <= end.time <= most
    assert 0 <= start.time - SUMMER * 1000 < 60_000
    assert 3_500_000 < end.time - start.time < 3_700_000


SAMPLED = (
    SET_CLOCK
    + """
config = {"logging": {"log_system_metrics": True, "system_metrics_interval": 0.1}}
run = unitrack.start_run("sampled", sinks=["local"], root="runs", delivery="thread", config=config)
for number in range(6):
    time.sleep(0.15)
    jump([86400, -86400][number % 2])
print(json.dumps(run.finish(timeout=60).ok))
"""
)


def test_steps_of_system_metrics_go_on(root: Path, clock: Path) -> None:
    """They are seconds since the start in units of the interval, as a stopwatch has them."""
    assert train(root, SAMPLED) == [True]
    records = LocalSource(str(root / "runs" / "sampled")).records("sampled")
    steps = [record.step for record in records if isinstance(record, Metrics)]
    assert len(steps) >= 3
    assert steps == sorted(set(steps))
    assert steps[-1] < 1000
