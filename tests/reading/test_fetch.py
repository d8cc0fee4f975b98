"""Bringing artifacts of stored runs here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import unitrack
from unitrack.errors import NotFoundError, SourceError
from unitrack.local.source import LocalSource
from unitrack.reading import StoredRun
from unitrack.records import Artifact


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "a.txt").write_text("in a folder")
    with unitrack.start_run("a", sinks=["local"], root=tmp_path / "root", delivery="inline") as run:
        run.log_text("weights", "models/best.txt")
        run.log_artifact(tmp_path / "data")
    return unitrack.runs(tmp_path / "root").find("a")


def test_a_file_and_a_folder_by_their_names(stored: StoredRun, tmp_path: Path) -> None:
    """Copies: what is done to them leaves the run as it is."""
    target = tmp_path / "new" / "folder"
    file = stored.fetch("models/best.txt", target)
    assert (file, file.read_text()) == (target / "models" / "best.txt", "weights")
    file.write_text("mine")
    folder = stored.fetch("data", target)
    assert (folder / "sub" / "a.txt").read_text() == "in a folder"
    assert sorted(path.name for path in target.iterdir()) == ["data", "models"]
    assert stored.fetch(stored.artifacts[0], target).read_text() in ("weights", "mine")
    assert stored.fetch("models/best.txt", target).read_text() == "weights"


def test_what_is_in_the_way_is_replaced(stored: StoredRun, tmp_path: Path) -> None:
    target = tmp_path / "here"
    (target / "models" / "best.txt").mkdir(parents=True)
    (target / "data").write_text("a file")
    assert stored.fetch("models/best.txt", target).read_text() == "weights"
    assert stored.fetch("data", target).is_dir()


def test_what_the_run_does_not_have(stored: StoredRun, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"has no artifact 'models/bst.txt': did you mean 'models/best.txt'"):
        stored.fetch("models/bst.txt", tmp_path / "here")
    gone = Artifact(seq=0, time=0, name="gone", file=str(tmp_path / "gone"))
    with pytest.raises(SourceError, match="'gone' is not on this machine"):
        stored.fetch(gone, tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ".", ""])
def test_nothing_is_written_outside(stored: StoredRun, tmp_path: Path, name: str) -> None:
    file = tmp_path / "data" / "sub" / "a.txt"
    with pytest.raises(SourceError, match="would lie outside"):
        stored.fetch(Artifact(seq=0, time=0, name=name, file=str(file)), tmp_path / "here")


def test_a_file_that_is_gone_once_it_was_found_is_no_artifact(stored: StoredRun) -> None:
    """Another program's file among the artifacts of a run at work, and what is no file at all."""
    assert stored.folder is not None
    artifacts = stored.folder / "artifacts"
    for name in ("b", "c", "d"):
        (artifacts / name).write_text(name)
    os.mkfifo(artifacts / "e")
    listed = (one.name for one in LocalSource(str(stored.folder)).records(stored.id) if isinstance(one, Artifact))
    while next(listed) != "b":
        pass
    (artifacts / "c").unlink()
    assert list(listed) == ["d"]
