"""The references of runs in git, once the runs are deleted for good."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.repositories import Repository

import unitrack
from unitrack.environment.record import RECORD
from unitrack.manager.cleaning import Rules, choose, put_away
from unitrack.manager.trash import Trash
from unitrack.manager.tree_refs import find_tree_refs, remove_tree_refs


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The working directory; no settings of a user or a machine."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Repository(tmp_path / "project")
    made.write(".gitignore", "experiments/\nteam/\n*.db\n")
    made.git("commit", "-qam", "runs are not code")
    made.write("train.py", "print('changed')\n")
    monkeypatch.chdir(made.folder)
    return made


def record(run_id: str, *more: Any, sinks: Any = ("local",), root: str = "experiments") -> None:
    with unitrack.start_run(run_id, run_id=run_id, sinks=[*sinks, *more], root=root, delivery="inline") as run:
        run.log_environment()


def put_all_away(root: Path) -> list[Path]:
    put_away(choose(unitrack.runs(root), Rules(older_than=0.0)), root)
    return [batch.folder for batch in Trash(root).batches()]


def refs(repository: Repository) -> list[str]:
    return repository.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/unitrack").splitlines()


def test_only_those_of_runs_that_are_gone(repository: Repository, tmp_path: Path) -> None:
    """Not of a run that a team's store holds, that is there again, whose reference moved, or of another repository."""
    team = {"local": {"team_store": str(tmp_path / "team")}}
    for run_id in ("gone", "moved", "again"):
        record(run_id)
    record("shared", sinks=[team])
    record("kept", root="other")
    root = repository.folder / "experiments"
    trash = put_all_away(root)
    repository.git("update-ref", "refs/unitrack/moved", "HEAD")
    shutil.copytree(trash[0] / "again", root / "again")
    before = repository.state()
    found = find_tree_refs(trash, root)
    assert [one.ref for one in found] == ["refs/unitrack/gone"]
    assert remove_tree_refs(found) == (1, [])
    assert refs(repository) == ["again", "kept", "moved", "shared"]
    assert repository.state() == before


def test_a_record_names_no_reference_of_another_run(repository: Repository) -> None:
    """Whatever a file in the trash says: nor one in a repository that is gone."""
    record("mine")
    record("yours", root="other")
    root = repository.folder / "experiments"
    trash = put_all_away(root)
    file = trash[0] / "mine" / "artifacts" / RECORD
    text = file.read_text()
    file.write_text(text.replace("refs/unitrack/mine", "refs/unitrack/yours"))
    assert find_tree_refs(trash, root) == []
    file.write_text("{")
    assert find_tree_refs(trash, root) == []
    file.write_text(text)
    repository.folder.joinpath(".git").rename(repository.folder / "elsewhere")
    assert find_tree_refs(trash, root) == []


def test_a_reference_that_changes_meanwhile_stays(repository: Repository) -> None:
    """It is removed only as what it was, and the reason is told."""
    record("late")
    root = repository.folder / "experiments"
    found = find_tree_refs(put_all_away(root), root)
    repository.git("update-ref", "refs/unitrack/late", "HEAD")
    removed, [why] = remove_tree_refs(found)
    assert (removed, refs(repository)) == (0, ["late"])
    assert why.startswith("1 of the references stay in")
