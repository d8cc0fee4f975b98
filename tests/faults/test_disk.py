"""A bad disk: who logs is told, what was recorded arrives once the disk is well again, and training goes on.

Each trouble is had by a process of its own, `unitrack_tests.bad_disk`, with its couriers: on a small file system that
only they see, without the right to write, with few descriptors, or with system calls that fail.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner
from unitrack_probe import points
from unitrack_tests.bench import Bench, settle
from unitrack_tests.faults import FULL, figure

from unitrack.cli import app
from unitrack.delivery.lane.progress import Progress
from unitrack.journal import JournalReader, JournalWriter, segment_path
from unitrack.journal.lines import encode_line
from unitrack.records import Metrics

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

TABLE = "Bad disk"

MOUNTED = """mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@" """
"""A file system of $0 bytes at $1, seen by what is run in it and nobody else, and gone with that."""

BACKENDS: dict[str, tuple[str, Any]] = {
    "mlflow": ("unitrack_mlflow", {"mlflow": {"tracking_uri": "sqlite:///{disk}/mlflow.db"}}),
    "wandb": ("unitrack_wandb", {"wandb": {"mode": "offline"}}),
    "tensorboard": ("unitrack_tensorboard", "tensorboard"),
    "trackio": ("unitrack_trackio", "trackio"),
    "sql": ("unitrack_sql", {"sql": {"url": "sqlite:///{disk}/runs.db"}}),
}
"""Sinks that keep all that they write on the full disk, and what has to be installed for them."""


def installed_backends() -> list[str]:
    """Those to fill the disk for: importing their SDKs takes seconds, so only in the long form."""
    return [name for name, (package, _) in BACKENDS.items() if FULL and importlib.util.find_spec(package)]


def small_disk(disk: Path, size: str) -> list[str]:
    """The beginning of a command that runs on a small disk. Skips where no file system can be mounted."""
    user = [] if os.geteuid() == 0 else ["-r"]
    command = ["unshare", *user, "-m", "sh", "-c", MOUNTED, size, str(disk)]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here, neither as root nor in a user namespace")
    return command


def without_root_rights() -> list[str]:
    """The beginning of a command to which the modes of files apply, as they don't to root."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root has no setpriv here, to let go of the right to write everywhere")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override"]


def train(trouble: str, folder: Path, prefix: list[str], *more_sinks: Any) -> dict[str, Any]:
    """Train in trouble; the account of it."""
    sinks = ["local", {"probe": {"out": str(folder / "probe")}}, *more_sinks]
    command = [*prefix, sys.executable, "-m", "unitrack_tests.bad_disk", trouble, str(folder), json.dumps(sinks)]
    environment = {**os.environ, "TRACKIO_DIR": str(folder / "trackio")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, env=environment)
    assert done.returncode == 0, done.stderr
    account: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return account


def assert_all_arrived(row: str, account: dict[str, Any]) -> None:
    assert account["lost"] == []
    assert account["not_recorded"] == []
    assert account["ok"], account["report"]
    assert account["calls"] > account["told"] > 0
    assert account["recorded"] == account["arrived"] > 0
    counts = {name: account[name] for name in ("calls", "told", "recorded")}
    figure(TABLE, row, **counts, lost=len(account["lost"]), delivered_afterwards=account["arrived"])


@pytest.mark.parametrize("backend", [None, *installed_backends()])
def test_a_full_disk(root: Path, backend: str | None) -> None:
    """Each kind of call is told while the disk is full, `start_run` and `finish` as well; the rest arrives in order."""
    sinks = [] if backend is None else [json.loads(json.dumps(BACKENDS[backend][1]).replace("{disk}", str(root)))]
    account = train("full", root, small_disk(root, "8m" if backend is None else "64m"), *sinks)
    assert_all_arrived(f"full, {backend or 'local files'}", account)
    for told in ("not recorded", "'full.txt' was not stored", "'full.png'", "'full-image.png'", "'full.json'"):
        assert any(told in message for message in account["messages"]), (told, account["messages"])
    assert all("make room" in message for message in account["messages"])


def test_a_folder_that_may_not_be_written(root: Path) -> None:
    """Points go on into the file that is open; copies of files are told of, and so is a start."""
    account = train("read-only", root, without_root_rights())
    assert_all_arrived("read-only", account)
    assert account["told"] == 5
    assert all("ermission denied" in message for message in account["messages"])


def test_no_descriptors_left(root: Path) -> None:
    """Points go on, past the end of a file; `finish` returns and says what it can't know; nothing begins anew."""
    account = train("descriptors", root, [])
    assert_all_arrived("no file descriptors", account)
    assert account["told"] == 5
    assert all("Too many open files" in message for message in account["messages"])
    assert any("can't be read" in warning for warning in account["warnings"])


@pytest.mark.parametrize("code", ["EIO", "EDQUOT"])
def test_writes_and_syncs_that_fail_now_and_then(root: Path, code: str) -> None:
    """The system calls are made to fail in the trainer, wholly or after a part: each line is whole or told of."""
    account = train(code, root, [])
    assert_all_arrived(f"{code}, simulated", account)
    hint = {"EIO": "the disk fails", "EDQUOT": "the quota is used up"}[code]
    assert any(hint in message for message in account["messages"])
    assert any("can't be synced" in warning and hint in warning for warning in account["warnings"])


def test_a_run_folder_that_is_deleted(root: Path) -> None:
    """No call crashes or hangs, nobody makes the folder again, and what can't be saved is said to be lost."""
    account = train("deleted", root, [])
    assert not account["ok"]
    assert "the run folder was deleted" in account["report"]
    assert account["again"]
    assert any("was deleted while it runs" in warning for warning in account["warnings"])
    assert any("is lost" in warning for warning in account["warnings"])
    assert account["told"] and all("deleted" in message for message in account["messages"])
    answer = CliRunner().invoke(app, ["sync", str(root / "runs" / "gone")])
    assert answer.exit_code and "Traceback" not in answer.output
    figure(TABLE, "run folder deleted", calls=account["calls"], told=account["told"])


def test_a_ledger_that_cannot_be_read_is_no_new_beginning(root: Path) -> None:
    """What was delivered and deleted would be lost: the lane waits until it can read where it stands."""
    bench = Bench(root, segment_bytes=500)
    bench.points(*range(30))
    lane = bench.lane()
    assert settle(lane) is Progress.IDLE
    lane.release()
    assert not segment_path(bench.folder.spool, bench.journal.writer, 0).exists()
    ledger = bench.folder.ledger_file("a")
    ledger.rename(root / "aside")
    ledger.mkdir()  # no file any more that can be opened
    lane = bench.lane()
    bench.points(*range(30, 40), first_step=30)
    assert settle(lane, tries=10) is Progress.WAITING
    assert lane.ledger.state == "retrying"
    assert "can't read the ledger" in (lane.ledger.last_error or "")
    ledger.rmdir()
    (root / "aside").rename(ledger)
    bench.end()
    assert settle(lane, tries=10) is Progress.DONE
    lane.release()
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(40)]


def test_an_end_that_cannot_be_saved_is_no_end(root: Path) -> None:
    """The lane ends the run once more when the ledger can be written; nothing is there twice."""
    bench = Bench(root)
    bench.points(*range(5))
    bench.end()
    in_the_way = bench.folder.state / f".a.ledger.json.{os.getpid()}.tmp"
    in_the_way.mkdir()  # what is to replace the ledger can't be written
    lane = bench.lane()
    assert settle(lane, tries=3) is Progress.WAITING
    assert bench.ledger().state == "pending" and bench.folder.spool.exists()
    in_the_way.rmdir()
    assert settle(lane, tries=3) is Progress.DONE
    lane.release()
    assert bench.ledger().state == "complete"
    assert points(root / "a", "loss") == [(step, float(step)) for step in range(5)]


SHORT_WRITES = """
import resource, sys
from pathlib import Path
from unitrack.errors import JournalError
from unitrack.journal import JournalWriter
from unitrack.records import Metrics
root, spares = Path(sys.argv[1]), range(int(sys.argv[2]))
for spare in spares:
    writer = JournalWriter(root, writer=f"w{spare}")
    returned, raised = [], []
    def log(step):
        try:
            writer.copy(Metrics(seq=0, time=1, step=step, metrics={"loss": 0.5}))
            returned.append(step)
        except JournalError as error:
            raised.append(step)
            assert error.filename.endswith(".journal") and ("make room" in str(error) or "ulimit -f" in str(error))
    for step in range(10, 20):
        log(step)
    size = Path(root / f"w{spare}.000000.journal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare, resource.RLIM_INFINITY))
    for step in range(20, 25):
        log(step)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for step in range(25, 30):
        log(step)
    print(spare, returned, raised, sep="|")
"""


def test_writes_cut_at_every_byte(root: Path) -> None:
    """A limit on the file's size cuts a line at each of its bytes: that is told, no damage, and never read."""
    line = len(encode_line(Metrics(seq=10, time=1, step=20, metrics={"loss": 0.5})))
    answer = subprocess.run(
        [sys.executable, "-c", SHORT_WRITES, str(root), str(2 * line + 2)], capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    calls = told = arrived = 0
    for case in answer.stdout.splitlines():
        spare, returned, raised = case.split("|")
        reader = JournalReader(root, f"w{spare}")
        chunk = reader.read(is_over=True)
        reader.close()
        steps = [record.step for record in chunk.records if isinstance(record, Metrics)]
        assert steps == msgspec.json.decode(returned), spare
        assert set(msgspec.json.decode(raised)) >= {23, 24}, spare
        assert set(steps) >= {*range(10, 20), *range(25, 30)}, spare
        assert not chunk.damages, spare
        assert [record.seq for record in chunk.records] == list(range(len(steps))), spare
        calls, told, arrived = calls + 20, told + 20 - len(steps), arrived + len(steps)
    assert calls == 20 * (2 * line + 2)
    figure(TABLE, "short writes", calls=calls, told=told, recorded=arrived, lost=0, delivered_afterwards=arrived)


def test_a_torn_line_is_never_taken_for_whole(root: Path) -> None:
    """One that lacks only its newline has a checksum that matches, but its call was told that it was not recorded."""
    writer = JournalWriter(root)
    record = Metrics(seq=0, time=1, step=1, metrics={"loss": 0.5})
    os.write(writer._fd, encode_line(record)[:-1])
    writer._end_torn_line(len(encode_line(record)) - 1)
    writer.copy(msgspec.structs.replace(record, step=2))
    writer.close()
    reader = JournalReader(root, writer.writer)
    chunk = reader.read(is_over=True)
    reader.close()
    assert [record.step for record in chunk.records if isinstance(record, Metrics)] == [2]
    assert not chunk.damages
    assert segment_path(root, writer.writer, 0).read_bytes().count(b"!!\n") == 1
