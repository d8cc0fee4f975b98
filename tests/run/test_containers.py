"""Owners in other pid namespaces, on other hosts, or at the head of a container; restarts by a launcher."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unitrack_tests.bench import Bench, settle
from unitrack_tests.children import wait_until

import unitrack
from unitrack.delivery.status import read_run_state
from unitrack.delivery.sync import sync_run
from unitrack.errors import RunExistsError
from unitrack.limits import BEAT_GONE_S
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.run import launcher
from unitrack.run.launcher import is_restart, shared_run_id
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life, Sign, sign_file
from unitrack.system.locks import FileLock, is_locked

_IN_CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
_WITH_NAME = [*_IN_CONTAINER, "--uts", "sh", "-c", 'hostname other; exec "$@"', "sh"]


def _may_unshare() -> bool:
    try:
        return subprocess.run([*_WITH_NAME, "true"], capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


needs_unshare = pytest.mark.skipif(not _may_unshare(), reason="pid namespaces can't be made here")

TRAINER = """
import sys, unitrack
run = unitrack.start_run("a", run_id="job1", sinks=["local"], root=sys.argv[1], delivery="thread")
run.log_metric("loss", 0.5, step=0)
run.flush()
print("logged", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def trainer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A live run in a container: `request.param` is the command that makes one."""
    process = subprocess.Popen(
        [*request.param, sys.executable, "-c", TRAINER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


both = pytest.mark.parametrize("trainer", [_IN_CONTAINER, _WITH_NAME], ids=["same host", "other host"], indirect=True)


@needs_unshare
@both
def test_a_live_run_of_another_container(trainer: subprocess.Popen[str], tmp_path: Path) -> None:
    """It is shown as running, is not taken over, and a sync leaves it open."""
    folder = RunFolder(tmp_path / "a")
    state = read_run_state(folder)
    assert (state.status, state.owner_life) == ("running", "alive")
    with pytest.raises(RunExistsError, match="or another container"):
        unitrack.start_run("a", run_id="job1", resume="allow", sinks=["local"], root=tmp_path, delivery="inline")
    sync_run(folder, timeout=5, assume_dead=True)
    assert read_run_state(folder).status == "running"


@needs_unshare
@both
def test_a_killed_run_of_another_container(trainer: subprocess.Popen[str], tmp_path: Path) -> None:
    """A sync from outside ends it as failed."""
    trainer.kill()
    trainer.wait()
    folder = RunFolder(tmp_path / "a")
    wait_until(lambda: read_run_state(folder).owner_life == "gone")  # the kernel ends the container after `unshare`
    sync_run(folder, timeout=30)
    assert read_run_state(folder).status == "failed"


def _elsewhere(folder: RunFolder) -> Path:
    """Make the owner one of another machine that was killed."""
    manifest = folder.read_manifest()
    owner = msgspec.structs.replace(manifest.owner, host="other", boot="another boot")
    folder.write_manifest(msgspec.structs.replace(manifest, owner=owner))
    file = sign_file(folder.spool, owner.writer)
    file.write_bytes(msgspec.json.encode(Sign(owner, locked=True)))
    return file


def test_an_owner_on_another_machine(tmp_path: Path) -> None:
    """Its last sign of life tells; where that is not enough, --assume-dead does."""
    script = TRAINER.replace("sys.stdin.readline()", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True)
    folder = RunFolder(tmp_path / "a")
    file = _elsewhere(folder)
    owner = folder.read_manifest().owner
    assert folder.life_of(owner) is Life.ALIVE
    now = file.stat().st_mtime
    os.utime(file, (now, now - BEAT_GONE_S / 2))
    assert folder.life_of(owner) is Life.UNKNOWN
    unitrack_cli = [sys.executable, "-m", "unitrack", "sync", str(folder.path)]
    done = subprocess.run(unitrack_cli, capture_output=True, text=True)
    assert done.returncode == 1
    assert "unitrack sync --assume-dead" in done.stderr
    assert "last sign of life" in done.stdout
    done = subprocess.run([*unitrack_cli, "--assume-dead"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_run_state(folder).status == "failed"


def test_a_silent_owner_on_another_machine_is_gone(tmp_path: Path) -> None:
    """A sync ends its run without being told."""
    script = TRAINER.replace("sys.stdin.readline()", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True)
    folder = RunFolder(tmp_path / "a")
    file = _elsewhere(folder)
    now = file.stat().st_mtime
    os.utime(file, (now, now - BEAT_GONE_S - 10))
    sync_run(folder, timeout=30)
    assert read_run_state(folder).status == "failed"


@needs_unshare
@pytest.mark.parametrize("command", [_IN_CONTAINER, [*_IN_CONTAINER, "sh", "-c", '"$@"; exit $?', "sh"]])
@pytest.mark.parametrize(
    "end", ["run.finish()", "import os, signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"]
)
def test_pid_1_waits_for_its_couriers(command: list[str], end: str, tmp_path: Path) -> None:
    """With a finish timeout of nothing, all is delivered before the container ends."""
    code = f"""
import sys, time, unitrack
config = {{"tracking": {{"finish_timeout": 0}}}}
run = unitrack.start_run("a", sinks=["local"], root=sys.argv[1], config=config)
for step in range(20_000):
    run.log_metric("loss", step / 7, step=step)
{end}
"""
    done = subprocess.run(
        [*command, sys.executable, "-c", code, str(tmp_path)], timeout=120, capture_output=True, text=True
    )
    records = LocalSource(str(tmp_path / "a")).records("a")
    assert sum(isinstance(record, Metrics) for record in records) == 20_000, done.stderr
    assert read_run_state(RunFolder(tmp_path / "a")).status == ("killed" if "kill" in end else "finished")


def test_a_forked_child_holds_no_lock_of_its_parent(tmp_path: Path) -> None:
    """The parent's lock is free once the parent lets go, and held until then."""
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        lock.release()
        os.read(reader, 1)
        os._exit(0)
    descriptor = os.open(tmp_path / "lock", os.O_RDONLY)
    assert is_locked(descriptor)
    lock.release()
    assert not is_locked(descriptor)
    os.write(writer, b"x")
    os.waitpid(child, 0)
    for opened in (descriptor, reader, writer):
        os.close(opened)


def test_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher's count makes going on the default; a first start still refuses."""
    assert not is_restart({"TORCHELASTIC_RESTART_COUNT": "0"})
    assert is_restart({"SLURM_RESTART_COUNT": "2"})
    more: dict[str, Any] = {"run_id": "job1", "sinks": ["local"], "root": tmp_path, "delivery": "inline"}
    unitrack.start_run("a", **more).finish()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    with pytest.raises(RunExistsError):
        unitrack.start_run("a", **more)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with unitrack.start_run("a", **more) as run:
        assert run.path == tmp_path / "a"


def test_a_torchrun_job_without_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranks of one agent come to one id, those of the next agent to another."""
    told = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    ids = []
    for parent in (os.getpid(), os.getpid(), os.getppid()):
        monkeypatch.setattr(launcher, "_shared_runs", iter([1]))
        monkeypatch.setattr(os, "getppid", lambda parent=parent: parent)
        ids.append(shared_run_id(told))
    assert ids[0] == ids[1] != ids[2]


def test_a_deleted_folder_ends_the_run_in_its_backend(tmp_path: Path) -> None:
    """The lane ends it as failed before it leaves."""
    bench = Bench(tmp_path)
    bench.points(1.0)
    lane = bench.lane()
    settle(lane)
    shutil.rmtree(bench.folder.path)
    lane.end_if_deleted()
    lane.release()
    assert json.loads((tmp_path / "a" / "ended.json").read_text())["status"] == "failed"
