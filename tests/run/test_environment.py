"""`log_environment`, from the call to the files of the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.local_files import holding
from unitrack_tests.repositories import Repository

import unitrack
from unitrack.environment.record import CALL, PATCH, RECORD, REQUIREMENTS, Environment, read_environment
from unitrack.runfolder.requests import find_requests
from unitrack.runfolder.run_folder import RunFolder

NAMES = {CALL, PATCH, RECORD, REQUIREMENTS}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository as the working directory, with a change that is not committed."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    made = Repository(tmp_path / "project")
    made.write("lib/model.py", "depth = 8\n")
    monkeypatch.chdir(made.folder)
    return made


def recorded(run: unitrack.Run, name: str = RECORD) -> Environment:
    """Return the record among a run's local files."""
    return read_environment((run.path / "artifacts" / name).read_bytes())


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_the_whole_environment_is_there_after_finish(
    delivery: Any, repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Params under the document's names, three files, the tree in the repository; secrets in none of them."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("TORCH_TOKEN", "canary-4711-x")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1", "--api-key", "canary-4711-y"])
    with unitrack.start_run("it", sinks=["local"], delivery=delivery, root=str(tmp_path / "runs")) as run:
        run.log_environment()
        assert run.config["git_hash"] == repository.git("rev-parse", "HEAD")  # at once
    [stored] = unitrack.runs(str(tmp_path / "runs"))
    params = stored.params
    assert (params["python_version"], params["git_dirty"]) == (sys.version, True)
    assert params["platform"] and params["numpy_version"] and params["packages.msgspec"]
    assert {artifact.name for artifact in stored.artifacts} == NAMES
    whole, call = recorded(run), recorded(run, CALL)
    assert (whole.is_complete, call.is_complete) == (True, False)
    assert whole.git is not None
    assert (whole.git.ref, whole.git.branch, whole.git.dirty) == (f"refs/unitrack/{run.id}", "main", True)
    assert repository.files(whole.git.ref)["lib/model.py"] == "depth = 8"
    assert b"+depth = 8" in (run.path / "artifacts" / PATCH).read_bytes()
    assert whole.command.argv == ("train.py", "--lr", "0.1", "--api-key", "[redacted]")
    assert (whole.command.redacted, whole.command.cwd_in_repository) == (True, "")
    assert (whole.variables["OMP_NUM_THREADS"], whole.variables["TORCH_TOKEN"]) == ("3", "[redacted]")
    assert whole.scheduler == {"SLURM_JOB_ID": "77"}
    assert whole.machine.cpu and whole.machine.memory and whole.machine.cores
    packages = {package.name: package for package in whole.packages}
    assert "msgspec==" in (run.path / "artifacts" / REQUIREMENTS).read_text()
    assert packages["msgspec"].version == params["packages.msgspec"]
    assert holding(run.path, b"canary-4711") == []


def test_what_changes_right_after_the_call_does_not_count(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The working directory, arguments and variables are those of the call, though a courier does the rest."""
    monkeypatch.setattr(sys, "argv", ["before.py"])
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with unitrack.start_run("it", sinks=["local"], root=str(tmp_path / "runs")) as run:
        run.log_environment()
        monkeypatch.chdir("/")
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        monkeypatch.setattr(sys, "argv", ["after.py"])
    whole = recorded(run)
    assert whole.git is not None and whole.git.root == str(repository.folder)
    assert (whole.command.cwd, whole.command.argv) == (str(repository.folder), ("before.py",))
    assert whole.variables["OMP_NUM_THREADS"] == "3"


def test_settings(repository: Repository, tmp_path: Path) -> None:
    """Each part can be left out, and the file turns the whole on."""
    config = {
        "reproducibility": {
            "log_environment": True,
            "log_git_tree": False,
            "log_patch": False,
            "variables": ["HO*"],
            "max_file_bytes": "1 kB",
        },
        "tracking": {"root": str(tmp_path / "runs"), "sinks": ["local"], "delivery": "inline"},
    }
    repository.write("big.bin", b"\1" * 2000)
    with unitrack.start_run("it", config=config) as run:
        pass
    whole = recorded(run)
    assert whole.git is not None
    assert (whole.git.ref, whole.git.dirty, whole.git.tree_commit) == ("", True, "")
    assert [one.path for one in whole.git.left_out] == ["big.bin"]
    assert set(whole.variables) <= {name for name in os.environ if name.startswith("HO")} and "HOME" in whole.variables
    assert not (run.path / "artifacts" / PATCH).exists()
    assert repository.git("for-each-ref", "refs/unitrack") == ""


def test_without_git_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document's key is "unknown" then."""
    monkeypatch.chdir(tmp_path)
    with unitrack.start_run("it", sinks=["local"], delivery="inline", root="runs") as run:
        run.log_environment()
    assert unitrack.runs("runs")[0].params["git_hash"] == "unknown"
    assert (recorded(run).git, recorded(run).git_note) == (None, "the folder is in no git repository")
    monkeypatch.setenv("PATH", str(tmp_path))
    with unitrack.start_run("it", sinks=["local"], delivery="inline", root="runs") as run:
        run.log_environment()
    assert recorded(run).git_note == "git is not installed"


TRAIN = """
    import os, signal, sys, time
    import unitrack
    run = unitrack.start_run("it", sinks=["local"], root=sys.argv[1])
    run.log_environment()
    {end}
"""


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "run.finish(timeout=0)", "sys.exit(3)"])
def test_a_program_that_ends_at_once_has_its_environment(end: str, repository: Repository, tmp_path: Path) -> None:
    """The courier goes on: it is not bound to the process that asked."""
    repository.write("train.py", textwrap.dedent(TRAIN.format(end=end)))
    subprocess.run([sys.executable, "train.py", str(tmp_path / "runs"), "--x", "1"], capture_output=True, check=False)
    record = tmp_path / "runs/it/artifacts" / RECORD
    deadline = time.monotonic() + 60
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    whole = read_environment(record.read_bytes())
    assert whole.git is not None
    assert "run.log_environment()" in repository.files(whole.git.ref)["train.py"]
    assert (whole.command.script_in_repository, whole.command.argv[2:]) == ("train.py", ("--x", "1"))


def test_a_courier_that_dies_is_followed_by_one_that_answers(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is a file in the spool, which is there until it is answered; then it is never answered again."""
    from unitrack.delivery.courier.pool import pool

    with unitrack.start_run("it", sinks=["local"], root=str(tmp_path / "runs")) as run:
        courier = next(one for one in pool._couriers if one.has(RunFolder(run.path), "local"))  # to kill it
        assert courier.process is not None
        os.kill(courier.process.pid, signal.SIGSTOP)
        run.log_environment()
        assert len(find_requests(run.path / ".spool")) == 1
        os.kill(courier.process.pid, signal.SIGKILL)
    assert recorded(run).is_complete
    commit = repository.git("rev-parse", f"refs/unitrack/{run.id}")
    assert commit == recorded(run).git.tree_commit  # type: ignore[union-attr]


def test_a_tracker_of_ones_own_gets_the_params(repository: Repository) -> None:
    """The document's example takes any object with `log_params`."""

    class Own:
        def __init__(self) -> None:
            self.params: dict[str, Any] = {}

        def log_params(self, params: dict[str, Any]) -> None:
            self.params |= params

    own = Own()
    unitrack.log_environment(own)  # type: ignore[arg-type]
    assert own.params["git_dirty"] is True
    assert own.params["python_version"] == sys.version
