"""How the program of a run is started again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from unitrack_tests.records_of_runs import record

from unitrack.environment.record import Command, Environment, Python
from unitrack.errors import ConfigError
from unitrack.rerun.command import arguments_of, check_command, folder_of

PYTHON = Path("/new/bin/python")


def recorded(repository: Path, **changes: Any) -> Environment:
    """The record of a run with another command."""
    before = record(repository)
    return replace(before, command=replace(before.command, **changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["train.py", "--lr", "0.1"]),
        ({"options": ("-O", "-X", "dev")}, ["-O", "-X", "dev", "train.py", "--lr", "0.1"]),
        ({"module": "pkg.train", "argv": ("/a/pkg/train.py", "x y")}, ["-m", "pkg.train", "x y"]),
        ({"cwd_in_repository": "sub"}, ["../train.py", "--lr", "0.1"]),
    ],
)
def test_programs_of_the_repository(root: Path, repository: Path, changes: dict[str, Any], expected: list[str]) -> None:
    """A script or a module, from the folder in which it was started, with its arguments as they were."""
    environment = recorded(repository, **changes)
    assert arguments_of(environment, root / "top", PYTHON) == [str(PYTHON), *expected]
    assert folder_of(environment.command, root / "top") == root / "top" / changes.get("cwd_in_repository", "")


def test_a_working_directory_elsewhere(root: Path, repository: Path) -> None:
    """It is the recorded one; the script is found from there."""
    environment = recorded(repository, cwd=str(root), cwd_in_repository=None)
    assert folder_of(environment.command, root / "top") == root
    assert arguments_of(environment, root / "top", PYTHON)[1] == "top/train.py"


def test_a_console_script(root: Path, repository: Path) -> None:
    """The one of that name in the new environment, though the old one lies in the repository."""
    old, new = root / "project" / ".venv", root / "new" / "bin"
    new.mkdir(parents=True)
    (new / "tool").touch()
    script = {"script": str(old / "bin" / "tool"), "script_in_repository": ".venv/bin/tool", "argv": ("tool", "run")}
    environment = replace(
        recorded(repository, **script),
        python=Python(version=sys.version, implementation="CPython", executable="", prefix=str(old)),
    )
    assert arguments_of(environment, root, new / "python") == [str(new / "tool"), "run"]
    (new / "tool").unlink()
    with pytest.raises(ConfigError, match="'tool' is not in the environment"):
        arguments_of(environment, root, new / "python")


def test_a_script_outside_of_the_repository(root: Path, repository: Path) -> None:
    """Where it lies, if it is still there."""
    script = root / "elsewhere.py"
    environment = recorded(repository, script=str(script), script_in_repository="")
    with pytest.raises(ConfigError, match="not in its repository, and not on this machine"):
        arguments_of(environment, root, PYTHON)
    script.touch()
    assert arguments_of(environment, root, PYTHON)[1:] == [str(script), "--lr", "0.1"]


@pytest.mark.parametrize("place", ["script_in_repository", "cwd_in_repository"])
def test_a_record_that_leads_out_of_the_repository(root: Path, repository: Path, place: str) -> None:
    """A stranger's record runs nothing that is not in the code."""
    with pytest.raises(ConfigError, match="leads out of the repository"):
        arguments_of(recorded(repository, **{place: "../../etc/x"}), root / "top", PYTHON)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"argv": ("train.py", "--token", "[redacted]"), "script": "/a"}, r"redacted.*: \[redacted\]; pass such"),
        ({"argv": ("train.py",), "script": "/a", "redacted": True}, "redacted.*: some of them"),
        ({"argv": ("-c",)}, "a notebook, an interactive session or `python -c`"),
    ],
)
def test_what_can_not_be_started_again(repository: Path, command: dict[str, Any], message: str) -> None:
    """It says why, and what to do."""
    with pytest.raises(ConfigError, match=message):
        check_command("r1", replace(record(repository), command=Command(cwd="/", **command)))
