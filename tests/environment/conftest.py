"""A repository of git to try things in, apart from the settings of this machine's user."""

from __future__ import annotations

from pathlib import Path

import pytest
from unitrack_tests.repositories import Repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository in a folder of its own, which is the working directory; no settings of a user or a machine."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").touch()
    made = Repository(tmp_path / "project")
    monkeypatch.chdir(made.folder)
    return made
