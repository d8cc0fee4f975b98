"""Submodules in the code of a run, and other repositories in it: from this machine, and otherwise by git."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from unitrack_tests.records_of_runs import commit, record

import unitrack
from unitrack.environment.record import Git, Submodule
from unitrack.errors import ConfigError
from unitrack.rerun.code import Code, find_code
from unitrack.rerun.git import run_git, try_git
from unitrack.rerun.workplace import Workplace
from unitrack.rerun.worktree import checked_out

LOCAL = ("-c", "protocol.file.allow=always")


def new_repository(folder: Path, file: str) -> Path:
    folder.mkdir()
    run_git(folder, "init", "-q")
    run_git(folder, "config", "user.name", "A")
    run_git(folder, "config", "user.email", "a@example.org")
    (folder / file).write_text(f"{file}\n")
    commit(folder)
    return folder


@pytest.fixture
def submodules(root: Path, repository: Path) -> tuple[Submodule, ...]:
    """A submodule with one of its own, at a commit that was never pushed, and a repository that is none."""
    deep = new_repository(root / "deep", "deep.py")
    library = new_repository(root / "library", "library.py")
    run_git(library, *LOCAL, "submodule", "add", "-q", str(deep), "deep")
    commit(library)
    run_git(repository, *LOCAL, "submodule", "add", "-q", str(library), "vendor/library")
    inner = repository / "vendor" / "library"
    run_git(inner, *LOCAL, "submodule", "update", "-q", "--init")
    run_git(inner, "config", "user.name", "A")
    run_git(inner, "config", "user.email", "a@example.org")
    (inner / "library.py").write_text("never pushed\n")
    at = commit(inner)
    commit(repository)
    tools = new_repository(repository / "tools", "tool.py")
    return (
        Submodule(path="vendor/library", commit=at, url=str(library)),
        Submodule(path="tools", commit=run_git(tools, "rev-parse", "HEAD")),
    )


def code_of(root: Path, repository: Path, submodules: tuple[Submodule, ...], name: str = "a") -> Code:
    head = run_git(repository, "rev-parse", "HEAD")
    with unitrack.start_run(name, run_id=name, sinks=["local"], root=root / "runs", delivery="inline") as run:
        pass
    git = Git(commit=head, dirty=False, root=str(repository), submodules=submodules)
    environment = record(repository, git=git)
    return find_code(unitrack.runs(run.path)[0], environment, repository=repository, here=root)


def place(root: Path) -> Workplace:
    (root / "work").mkdir()
    return Workplace(root / "work")


def test_they_come_from_the_work_tree(root: Path, repository: Path, submodules: tuple[Submodule, ...]) -> None:
    """Without the network, those within them too; nothing is noted in the user's repositories."""
    before = [(path, path.read_bytes()) for path in sorted((repository / ".git").rglob("config"))]
    code = code_of(root, repository, submodules)
    assert [str(one) for one in code.inner] == [
        f"{one.path} at {one.commit[:12]}, from {repository / one.path}" for one in submodules
    ]
    with checked_out(code, place(root)) as top:
        found = {str(path.relative_to(top)): path.read_text() for path in top.rglob("*.py")}
    assert found == {
        "train.py": "print('first')\n",
        "tools/tool.py": "tool.py\n",
        "vendor/library/library.py": "never pushed\n",
        "vendor/library/deep/deep.py": "deep.py\n",
    }
    assert [(path, path.read_bytes()) for path in sorted((repository / ".git").rglob("config"))] == before
    assert len(run_git(repository, "worktree", "list").splitlines()) == 1


def test_one_that_is_no_more_in_the_work_tree(root: Path, repository: Path, submodules: tuple[Submodule, ...]) -> None:
    """git keeps it below `.git/modules`."""
    inner = repository / "vendor" / "library"
    run_git(inner, "rm", "-q", "deep")
    at = commit(inner)
    run_git(repository, "submodule", "deinit", "-q", "--force", "vendor/library")
    code = code_of(root, repository, (Submodule(path="vendor/library", commit=at),))
    assert code.inner[0].source == str(repository / ".git" / "modules" / "vendor" / "library")
    with checked_out(code, place(root)) as top:
        assert (top / "vendor" / "library" / "library.py").read_text() == "never pushed\n"


def test_another_clone_does_not_have_them(root: Path, repository: Path, submodules: tuple[Submodule, ...]) -> None:
    """The plan names what is missing; git fetches a submodule, or says why it can't, and its configuration stays."""
    run_git(root, "clone", "-q", str(repository), "clone")
    clone = root / "clone"
    code = code_of(root, clone, submodules)
    assert [(one.path, one.source) for one in code.inner] == [("vendor/library", "")]
    assert "tools, a repository that is no submodule, is missing: commit" in " ".join(code.notes)
    before = (clone / ".git" / "config").read_bytes()
    with (
        pytest.raises(ConfigError, match=r"the submodule vendor/library at .* --link vendor/library"),
        checked_out(code, place(root)),
    ):
        pass
    assert (clone / ".git" / "config").read_bytes() == before
    assert len(run_git(clone, "worktree", "list").splitlines()) == 1
    assert list((root / "work").iterdir()) == []


def test_one_with_changes_is_linked(root: Path, repository: Path, submodules: tuple[Submodule, ...]) -> None:
    """The plan says that its changes are in no record; a link takes it as it is now."""
    code = code_of(root, repository, (replace(submodules[0], dirty=True),))
    assert "--link vendor/library takes it from the work tree as it is now" in " ".join(code.notes)
    (repository / "vendor" / "library" / "library.py").write_text("changed\n")
    with checked_out(code, place(root), links=["vendor/library"]) as top:
        assert (top / "vendor" / "library" / "library.py").read_text() == "changed\n"
    assert (repository / "vendor" / "library" / "library.py").exists()


def test_a_path_that_leads_out(root: Path, repository: Path) -> None:
    """A record may be a stranger's."""
    other = new_repository(root / "other", "other.py")
    outside = Submodule(path="../other", commit=run_git(other, "rev-parse", "HEAD"))
    code = code_of(root, repository, (outside,))
    with pytest.raises(ConfigError, match="leads out of the repository"), checked_out(code, place(root)):
        pass
    assert try_git(other, "status", "--porcelain") == ""
