"""Finding the code of a run, and checking it out beside the user's work tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from unitrack_tests.records_of_runs import commit, record

import unitrack
from unitrack.environment.record import PATCH, Git, LeftOut, Submodule
from unitrack.errors import ConfigError
from unitrack.reading import StoredRun
from unitrack.rerun.code import Code, find_code
from unitrack.rerun.fetching import fetch_part
from unitrack.rerun.git import run_git
from unitrack.rerun.workplace import Workplace
from unitrack.rerun.worktree import checked_out


def stored(root: Path, patch: bytes | None = None) -> StoredRun:
    """A run that has logged a patch, or nothing."""
    with unitrack.start_run("a", sinks=["local"], root=root / "runs", run_id="r1", delivery="inline") as run:
        if patch is not None:
            (root / "code.patch").write_bytes(patch)
            run.log_artifact(root / "code.patch", "environment/")
    return unitrack.runs(run.path)[0]


def with_exact_tree(repository: Path) -> Git:
    """Change the work tree, and keep it as a run does: in a commit that only the run's reference holds."""
    head = run_git(repository, "rev-parse", "HEAD")
    (repository / "train.py").write_text("print('exact')\n")
    tree_commit = commit(repository)
    run_git(repository, "update-ref", "refs/unitrack/r1", tree_commit)
    run_git(repository, "reset", "-q", "--hard", head)
    return Git(commit=head, dirty=True, root=str(repository), ref="refs/unitrack/r1", tree_commit=tree_commit, tree="t")


def program(code: Code, folder: Path, patch: Path | None = None) -> str:
    """Check the code out, and give the text of its program."""
    folder.mkdir(exist_ok=True)
    with checked_out(code, Workplace(folder), patch=patch) as top:
        assert top.name == "project"
        return (top / "train.py").read_text()


class TestFound:
    """Where the code is taken from, in this order."""

    def test_the_exact_tree(self, root: Path, repository: Path) -> None:
        """Its files are checked out; the user's work tree, index and branches are as before, and nothing is left."""
        exact = with_exact_tree(repository)
        (repository / "train.py").write_text("print('later')\n")
        (repository / "new.py").touch()
        run_git(repository, "add", "new.py")
        before = run_git(repository, "status", "--porcelain"), run_git(repository, "for-each-ref")
        code = find_code(stored(root), record(repository, git=exact), repository=None, here=root)
        assert code.described == "refs/unitrack/r1, the exact tree"
        assert program(code, root / "work") == "print('exact')\n"
        assert (run_git(repository, "status", "--porcelain"), run_git(repository, "for-each-ref")) == before
        assert len(run_git(repository, "worktree", "list").splitlines()) == 1
        assert not (root / "work" / "project").exists()

    def test_a_reference_that_is_gone(self, root: Path, repository: Path) -> None:
        """As long as git has not collected its commit, the tree is exact, and it is said."""
        exact = with_exact_tree(repository)
        run_git(repository, "update-ref", "-d", "refs/unitrack/r1")
        code = find_code(stored(root), record(repository, git=exact), repository=None, here=root)
        assert code.described.endswith("the exact tree (refs/unitrack/r1 is gone)")

    def test_a_commit_and_the_patch(self, root: Path, repository: Path) -> None:
        """Without the tree, as in another clone."""
        exact = with_exact_tree(repository)
        patch = run_git(repository, "diff", "--binary", exact.commit or "", exact.tree_commit) + "\n"
        gone = replace(exact, tree_commit="0" * 40)
        run = stored(root, patch.encode())
        code = find_code(run, record(repository, git=gone), repository=None, here=root)
        assert (code.has_patch, code.notes[0]) == (True, "its exact tree is not in the repository")
        (root / "work").mkdir()
        assert program(code, root / "work", fetch_part(run, PATCH, root / "work")) == "print('exact')\n"

    def test_a_commit_without_changes(self, root: Path, repository: Path) -> None:
        """It needs neither."""
        code = find_code(stored(root), record(repository), repository=None, here=root)
        assert code.described.endswith("which had no changes")
        assert program(code, root / "work") == "print('first')\n"

    def test_another_clone(self, root: Path, repository: Path) -> None:
        """The one that is named, or the one of the working directory; the recorded folder is not on this machine."""
        run_git(root, "clone", "-q", str(repository), "clone")
        elsewhere = Git(commit=run_git(repository, "rev-parse", "HEAD"), dirty=False, root="/not/here")
        for options in ({"repository": root / "clone", "here": root}, {"repository": None, "here": root / "clone"}):
            code = find_code(stored(root / options["here"].name), record(repository, git=elsewhere), **options)
            assert Path(code.repository) == root / "clone"

    def test_a_bare_repository(self, root: Path, repository: Path) -> None:
        """As a server has it."""
        run_git(root, "clone", "-q", "--bare", str(repository), "project.git")
        code = find_code(stored(root), record(repository), repository=root / "project.git", here=root)
        assert program(code, root / "work") == "print('first')\n"


class TestRefused:
    """One error that says what is missing, and what to do."""

    def test_a_run_without_git(self, root: Path, repository: Path) -> None:
        """With the reason that the record has."""
        environment = record(repository, git=None, git_note="git is not installed")
        with pytest.raises(ConfigError, match=r"run r1 is not recorded \(git is not installed\), so it can't"):
            find_code(stored(root), environment, repository=None, here=root)

    def test_changes_that_are_not_to_be_had(self, root: Path, repository: Path) -> None:
        """No tree and no patch: the commit alone would be other code."""
        gone = replace(with_exact_tree(repository), tree_commit="0" * 40)
        with pytest.raises(ConfigError, match=r"had changes since commit .* the run has no environment/code.patch"):
            find_code(stored(root), record(repository, git=gone), repository=None, here=root)

    def test_no_repository_here(self, root: Path, repository: Path) -> None:
        """A run from another machine: it names that, and how a clone gets the tree."""
        exact = replace(with_exact_tree(repository), root="/not/here")
        with pytest.raises(ConfigError, match=r"in /not/here on .*--repository DIR.*git fetch REMOTE refs/unitrack/r1"):
            find_code(stored(root), record(repository, git=exact), repository=None, here=root)

    def test_a_repository_without_it(self, root: Path, repository: Path) -> None:
        """Of another project, or a clone that is behind."""
        other = Git(commit="0" * 40, root=str(repository), ref="refs/unitrack/r1", tree_commit="1" * 40)
        with pytest.raises(ConfigError, match=rf"neither refs/unitrack/r1 nor commit 0+ of run r1 is in {repository}"):
            find_code(stored(root), record(repository, git=other), repository=None, here=root)
        with pytest.raises(ConfigError, match="is no git repository"):
            find_code(stored(root / "b"), record(repository, git=other), repository=root / "runs", here=root)

    def test_a_commit_that_is_an_option(self, root: Path, repository: Path) -> None:
        """A record may be a stranger's: git gets nothing from it that is no hash."""
        other = Git(commit="--output=x", root=str(repository), tree_commit="--help")
        with pytest.raises(ConfigError, match="neither"):
            find_code(stored(root), record(repository, git=other), repository=None, here=root)

    @pytest.mark.parametrize(
        ("link", "message"),
        [
            ("../runs", "must be a path in the repository"),
            ("/etc", "must be a path in the repository"),
            ("none", "there is no"),
            ("train.py", "the code of the run has it already"),
        ],
    )
    def test_links(self, root: Path, repository: Path, link: str, message: str) -> None:
        """Nothing is left of the work tree that was begun."""
        code = find_code(stored(root), record(repository), repository=None, here=root)
        with (
            pytest.raises(ConfigError, match=message),
            checked_out(code, Workplace(root / "work"), links=[link]),
        ):
            pass
        assert len(run_git(repository, "worktree", "list").splitlines()) == 1

    def test_a_patch_that_does_not_fit(self, root: Path, repository: Path) -> None:
        """With what git said."""
        (root / "bad.patch").write_text("no patch\n")
        code = find_code(stored(root), record(repository), repository=None, here=root)
        with pytest.raises(ConfigError, match="git apply --whitespace=nowarn failed"):
            program(code, root / "work", root / "bad.patch")


def test_what_is_said_of_a_tree(root: Path, repository: Path) -> None:
    """What is not in it, and what it does not show."""
    recorded = replace(
        with_exact_tree(repository),
        left_out=(LeftOut(path="data.bin", why="200 MiB"),),
        changed_after=("late.py",),
        submodules=(Submodule(path="lib", commit="c", dirty=True),),
        note="a shallow clone",
    )
    notes = " ".join(find_code(stored(root), record(repository, git=recorded), repository=None, here=root).notes)
    assert all(word in notes for word in ("data.bin (200 MiB)", "--link", "late.py", "lib", "a shallow clone"))


def test_a_link_to_what_git_ignores(root: Path, repository: Path) -> None:
    """Data lies where the program looks for it."""
    (repository / "data").mkdir()
    (repository / "data" / "train.csv").write_text("1")
    code = find_code(stored(root), record(repository), repository=None, here=root)
    place = Workplace(root / "work")
    place.is_kept = True
    with checked_out(code, place, links=["data"]) as top:
        pass
    assert (top / "data" / "train.csv").read_text() == "1"
