"""`unitrack plugins new`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]


def test_its_tests_run_as_they_are(invoke: Invoke, root: Path) -> None:
    """A part of the conformance suite, as all of it takes a while: what does not pass has to be among it."""
    result = invoke("plugins", "new", "my-store", "--dir", "made")
    assert result.stdout.startswith("wrote made/unitrack-my-store:")
    folder = root / "made" / "unitrack-my-store"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "unitrack-my-store"
    assert project["entry-points"]["unitrack"] == {"my-store": "unitrack_my_store"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "declared or test_status or restart",
    ]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "words"), [("My", "can't be a backend's name"), ("../x", "can't be"), ("mlflow", "already")]
)
def test_a_name_that_cannot_be_one(root: Path, call_program: Program, name: str, words: str) -> None:
    result = call_program("plugins", "new", name)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert list(root.iterdir()) == []


def test_nothing_is_overwritten(root: Path, call_program: Program) -> None:
    (root / "unitrack-mine").mkdir()
    result = call_program("plugins", "new", "mine")
    assert result.returncode == 2
    assert "'unitrack-mine' is there already" in result.stderr
    assert list((root / "unitrack-mine").iterdir()) == []
