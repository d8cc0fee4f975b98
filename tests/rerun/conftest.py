"""A repository with a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from unitrack_tests.records_of_runs import commit


@pytest.fixture
def repository(root: Path) -> Path:
    """A repository with one commit, in which git knows who commits."""
    folder = root / "project"
    folder.mkdir()
    for arguments in (["init", "-q"], ["config", "user.name", "A"], ["config", "user.email", "a@example.org"]):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    (folder / "train.py").write_text("print('first')\n")
    (folder / ".gitignore").write_text("/experiments\n/data\n")
    commit(folder)
    return folder
