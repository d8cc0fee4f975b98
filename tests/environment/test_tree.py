"""The exact tree of a work tree: whatever state the repository is in, and without changing it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.repositories import Repository

from unitrack.environment.git import GitError
from unitrack.environment.record import ref_of
from unitrack.environment.request import TreeTerms
from unitrack.environment.work_tree import Code, capture_code
from unitrack.limits import MIB

CALLED_AT = 4_000_000_000_000  # later than any change that a test makes


def capture(where: Path, scratch: Path, *, run_id: str = "r1", called_at: int = CALLED_AT, **terms: Any) -> Code:
    """Capture the code of a folder, as a courier does."""
    own = scratch / f"scratch-{len(list(scratch.iterdir()))}"
    own.mkdir()
    wanted = TreeTerms(**{"run_id": run_id, "run_name": "a run", "file_bytes": MIB, "total_bytes": 10 * MIB} | terms)
    return capture_code([str(where)], wanted, (), called_at, own)


def test_the_tree_has_what_is_on_disk_and_nothing_else_changes(repository: Repository, tmp_path: Path) -> None:
    """Changed, staged, new, renamed and deleted files are in it; ignored ones are not."""
    repository.write("lib/model.py", "depth = 8\n")
    repository.write("new/deep.py", "x = 1\n")
    repository.write("staged.py", "staged = 1\n")
    repository.git("add", "staged.py")
    repository.write("staged.py", "staged = 2\n")
    repository.write("a.log", "ignored")
    repository.git("mv", "train.py", "run.py")
    before = repository.state()
    code = capture(repository.folder, tmp_path)
    assert repository.state() == before
    assert code.git is not None
    assert (code.git.ref, code.git.branch, code.git.dirty, code.git.untracked) == ("refs/unitrack/r1", "main", True, 1)
    assert repository.files("refs/unitrack/r1") == {
        ".gitignore": "*.log\ndata/",
        "lib/model.py": "depth = 8",
        "new/deep.py": "x = 1",
        "run.py": "print('hello')",
        "staged.py": "staged = 2",
    }
    assert repository.git("rev-parse", "refs/unitrack/r1^") == code.git.commit == repository.git("rev-parse", "HEAD")
    assert code.git.tree == repository.git("rev-parse", "refs/unitrack/r1^{tree}")


def test_a_clean_tree_needs_no_commit(repository: Repository, tmp_path: Path) -> None:
    """The reference keeps HEAD then; nothing is written but the reference."""
    objects = repository.git("count-objects")
    code = capture(repository.folder / "lib", tmp_path)
    assert code.git is not None
    assert code.git.tree_commit == code.git.commit == repository.git("rev-parse", "refs/unitrack/r1")
    assert (code.git.dirty, code.git.untracked, code.patch) == (False, 0, b"")
    assert repository.git("count-objects") == objects


def test_the_same_tree_twice_is_the_same_commit_and_another_one_keeps_it(
    repository: Repository, tmp_path: Path
) -> None:
    """A courier that is started again does no harm, and a resumed run keeps the tree of its first session."""
    repository.write("new.py", "1")
    first = repository.git("rev-parse", capture(repository.folder, tmp_path).git.tree_commit)
    assert capture(repository.folder, tmp_path).git.tree_commit == first
    repository.write("new.py", "2")
    second = capture(repository.folder, tmp_path).git.tree_commit
    assert second != first
    repository.git("merge-base", "--is-ancestor", first, "refs/unitrack/r1")
    assert repository.files("refs/unitrack/r1")["new.py"] == "2"


def test_the_patch_gives_the_tree(repository: Repository, tmp_path: Path) -> None:
    """Applied to the commit that it names, in another clone: text, binary, links, modes, deletions, odd names."""
    repository.write("lib/model.py", "depth = 8\n")
    repository.write("weights.bin", bytes(range(256)))
    repository.write("a file\nwith ü.py", "1")
    repository.write(b"latin-\xe9.py", "2")
    (repository.folder / "link.py").symlink_to("train.py")
    os.chmod(repository.folder / "train.py", 0o755)
    (repository.folder / ".gitignore").unlink()
    code = capture(repository.folder, tmp_path)
    subprocess.run(["git", "clone", "-q", str(repository.folder), str(tmp_path / "clone")], check=True)
    here: dict[str, Any] = {"cwd": tmp_path / "clone", "check": True, "capture_output": True}
    subprocess.run(["git", "checkout", "-q", code.git.patch_base], **here)
    subprocess.run(["git", "apply", "--index", "-"], input=code.patch, **here)
    assert subprocess.run(["git", "write-tree"], **here).stdout.decode().strip() == code.git.tree


def test_the_patch_begins_where_others_have_the_code(repository: Repository, tmp_path: Path) -> None:
    """At the newest commit that a remote has: commits that were never pushed are in the patch."""
    subprocess.run(["git", "clone", "-q", "--bare", str(repository.folder), str(tmp_path / "hub.git")], check=True)
    repository.git("remote", "add", "origin", f"file://{tmp_path}/hub.git")
    repository.git("fetch", "-q", "origin")
    pushed = repository.git("rev-parse", "HEAD")
    for number in range(2):
        repository.write("lib/model.py", f"depth = {number}\n")
        repository.git("commit", "-q", "-a", "-m", "local")
    repository.write("lib/model.py", "depth = 99\n")
    code = capture(repository.folder, tmp_path)
    assert code.git.patch_base == pushed
    assert code.git.commit == repository.git("rev-parse", "HEAD")
    assert b"-depth = 4" in code.patch and b"+depth = 99" in code.patch


HOSTILE: dict[str, Callable[[Repository], None]] = {
    "no user name": lambda it: (it.git("config", "--unset", "user.name"), it.git("config", "--unset", "user.email")),
    "useConfigOnly": lambda it: (
        it.git("config", "user.useConfigOnly", "true"),
        it.git("config", "--unset", "user.name"),
    ),
    "gpgsign": lambda it: (it.git("config", "commit.gpgSign", "true"), it.git("config", "gpg.program", "/bin/false")),
    "fsmonitor": lambda it: it.git("config", "core.fsmonitor", "touch fsmonitor-ran; false"),
    "safecrlf": lambda it: (it.git("config", "core.autocrlf", "input"), it.git("config", "core.safecrlf", "true")),
    "another lock": lambda it: (it.folder / ".git/index.lock").touch(),
    "split index": lambda it: it.git("update-index", "--split-index"),
    "untracked cache": lambda it: it.git("update-index", "--force-untracked-cache"),
    "index version 4": lambda it: it.git("update-index", "--index-version", "4"),
    "detached": lambda it: it.git("checkout", "-q", "--detach"),
    "packed": lambda it: it.git("gc", "-q"),
    "quotepath": lambda it: it.git("config", "core.quotePath", "true"),
    "diff settings": lambda it: (it.git("config", "diff.noprefix", "true"), it.git("config", "diff.external", "false")),
    "status settings": lambda it: (
        it.git("config", "status.showUntrackedFiles", "no"),
        it.git("config", "status.relativePaths", "true"),
        it.git("config", "status.branch", "true"),
        it.git("config", "diff.ignoreSubmodules", "all"),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_settings_of_the_user_make_no_difference(name: str, repository: Repository, tmp_path: Path) -> None:
    """The tree is the same with each of them."""
    repository.write("lib/model.py", "depth = 8\r\n")
    repository.write("new.py", "x = 1\n")
    HOSTILE[name](repository)
    before = repository.state()
    code = capture(repository.folder, tmp_path)
    assert repository.state() == before
    assert not (repository.folder / "fsmonitor-ran").exists()
    assert (code.git.note, code.git.untracked, code.git.dirty) == ("", 1, True)
    assert repository.files("refs/unitrack/r1").keys() == {".gitignore", "lib/model.py", "new.py", "train.py"}
    assert b"b/lib/model.py" in code.patch and b"b/new.py" in code.patch


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"])
def test_variables_of_a_hook_make_no_difference(
    variable: str, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training that a hook of another repository starts has them set."""
    repository.write("new.py", "x = 1\n")
    before = repository.state()
    monkeypatch.setenv(variable, str(tmp_path / "other"))
    code = capture(repository.folder, tmp_path)
    monkeypatch.delenv(variable)
    assert repository.state() == before
    assert repository.files(code.git.ref)["new.py"] == "x = 1"
    assert not (tmp_path / "other").exists()


def test_no_hook_is_started(repository: Repository, tmp_path: Path) -> None:
    """Neither those of a commit nor those of an index or a reference."""
    for hook in ("pre-commit", "post-commit", "post-index-change", "reference-transaction", "commit-msg"):
        path = repository.folder / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/{hook}-ran\n")
        path.chmod(0o755)
    repository.write("new.py", "x = 1\n")
    assert capture(repository.folder, tmp_path).git.ref
    assert list(tmp_path.glob("*-ran")) == []


def test_files_that_git_was_told_to_overlook_are_in_the_tree(repository: Repository, tmp_path: Path) -> None:
    """assume-unchanged and skip-worktree hide changes from `git status`, not from Python."""
    repository.git("update-index", "--assume-unchanged", "train.py")
    repository.git("update-index", "--skip-worktree", "lib/model.py")
    repository.write("train.py", "print('other')\n")
    repository.write("lib/model.py", "depth = 16\n")
    before = repository.state()
    files = repository.files(capture(repository.folder, tmp_path).git.tree_commit)
    assert (files["train.py"], files["lib/model.py"]) == ("print('other')", "depth = 16")
    assert repository.state() == before


def test_a_file_changed_within_the_same_tick_as_the_index_is_seen(repository: Repository, tmp_path: Path) -> None:
    """The copy of the index keeps its time: else git would trust the recorded size and time of a file."""
    index = repository.folder / ".git/index"
    status = os.stat(repository.folder / "train.py")
    repository.write("train.py", "print('olleh')\n")  # of the same size
    os.utime(repository.folder / "train.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(index, ns=(status.st_atime_ns, status.st_mtime_ns))
    repository.git("config", "core.checkStat", "minimal")
    repository.git("config", "core.trustctime", "false")
    assert repository.files(capture(repository.folder, tmp_path).git.tree_commit)["train.py"] == "print('olleh')"


def test_a_sparse_checkout_keeps_what_is_not_on_disk(repository: Repository, tmp_path: Path) -> None:
    """Files outside the sparse patterns are unchanged, not deleted."""
    repository.write("other/a.py", "a")
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "more")
    repository.git("sparse-checkout", "set", "--cone", "--sparse-index", "lib")
    assert not (repository.folder / "other").exists()
    repository.write("lib/new.py", "new")
    before = repository.state()
    code = capture(repository.folder, tmp_path)
    assert repository.state() == before
    files = repository.files(code.git.tree_commit)
    assert files.keys() == {".gitignore", "lib/model.py", "lib/new.py", "other/a.py", "train.py"}


def test_a_linked_work_tree_has_a_tree_of_its_own(repository: Repository, tmp_path: Path) -> None:
    """With its own index; the reference is that of the whole repository."""
    repository.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "side")
    (tmp_path / "linked/only-here.py").write_text("1")
    code = capture(tmp_path / "linked", tmp_path)
    assert (code.git.branch, code.git.root) == ("side", str(tmp_path / "linked"))
    assert "only-here.py" in repository.files("refs/unitrack/r1")


def test_a_merge_with_conflicts_is_taken_as_it_lies(repository: Repository, tmp_path: Path) -> None:
    """With its markers: that is what Python would read."""
    repository.git("checkout", "-q", "-b", "side")
    repository.write("lib/model.py", "depth = 5\n")
    repository.git("commit", "-q", "-a", "-m", "side")
    repository.git("checkout", "-q", "main")
    repository.write("lib/model.py", "depth = 6\n")
    repository.git("commit", "-q", "-a", "-m", "main")
    repository.git("merge", "side", check=False)
    before = repository.state()
    code = capture(repository.folder, tmp_path)
    assert repository.state() == before
    assert "<<<<<<<" in repository.files(code.git.tree_commit)["lib/model.py"]
    assert code.git.dirty


def test_no_commit_yet(tmp_path: Path, repository: Repository) -> None:
    """A new repository has a tree as well, and the patch holds all of it."""
    fresh = tmp_path / "fresh"
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(fresh)], check=True)
    (fresh / "a.py").write_text("1\n")
    code = capture(fresh, tmp_path)
    assert (code.git.commit, code.git.branch, code.git.patch_base) == (None, "trunk", "")
    assert b"+1" in code.patch
    assert code.git.tree_commit


@pytest.mark.parametrize(
    ("name", "reason"),
    [("plain", "the folder is in no git repository"), ("bare", "has no work tree"), ("gone", "the folder is gone")],
)
def test_without_a_work_tree_it_says_why(name: str, reason: str, repository: Repository, tmp_path: Path) -> None:
    """No repository, a bare one, a folder that was deleted."""
    folder = tmp_path / name
    if name == "bare":
        subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    elif name == "plain":
        folder.mkdir()
    with pytest.raises(GitError, match=reason):
        capture(folder, tmp_path)


def test_without_git_it_says_so(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but git's absence is a reason for "unknown"."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        capture(repository.folder, tmp_path)


def test_a_slow_git_is_given_up(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository on a network disk that hangs costs a bounded time."""
    monkeypatch.setattr("unitrack.environment.work_tree.CAPTURE_S", 0.0)
    with pytest.raises(GitError, match="git took more than 0 s"):
        capture(repository.folder, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_user_is_refused_by_git(repository: Repository, tmp_path: Path) -> None:
    """git's own protection stays on: its configuration may name programs to run."""
    os.chown(repository.folder, 12345, 12345)
    os.chown(repository.folder / ".git", 12345, 12345)
    with pytest.raises(GitError, match=r"another user \(safe.directory\)"):
        capture(repository.folder, tmp_path)
    (tmp_path / "gitconfig").write_text(f"[safe]\n\tdirectory = {repository.folder}\n")
    assert capture(repository.folder, tmp_path).git.ref


def test_a_repository_that_cannot_be_written_gives_a_patch(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The objects go elsewhere, and the note says that the tree is not kept."""
    repository.write("new.py", "x = 1\n")
    objects = repository.git("count-objects", "-v")
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    code = capture(repository.folder, tmp_path)
    assert (code.git.ref, code.git.tree_commit) == ("", "")
    assert "can't be written" in code.git.note
    assert b"+x = 1" in code.patch
    assert repository.git("count-objects", "-v") == objects
    assert repository.git("for-each-ref", "refs/unitrack") == ""


def test_large_files_databases_secrets_and_stores_stay_out(repository: Repository, tmp_path: Path) -> None:
    """Each is named with its reason; virtual environments and stores of backends are left out without a word."""
    repository.write("big.bin", b"\0" * (MIB + 1))
    repository.write("mlflow.db", b"SQLite format 3\0" + b"\0" * 100)
    repository.write(".env", "A=1")
    repository.write("venv/pyvenv.cfg", "home = /usr")
    repository.write("venv/lib/a.py", "1")
    repository.write("experiments/run/.unitrack/run.json", "{}")
    repository.write("experiments/run/metrics.jsonl", "{}")
    repository.write("train.py", b"#" * (MIB + 1))
    code = capture(repository.folder, tmp_path, stores=("*/.unitrack/run.json",))
    assert {one.path: one.why.split(",")[0] for one in code.git.left_out} == {
        "big.bin": "it has 1.0 MiB",
        "train.py": "it has 1.0 MiB",
        "mlflow.db": "it is a database",
        ".env": "its name says that it holds secrets",
    }
    assert repository.files(code.git.tree_commit) == {
        ".gitignore": "*.log\ndata/",
        "lib/model.py": "depth = 4",
        "train.py": "print('hello')",
    }


def test_what_does_not_fit_in_all_is_named_too(repository: Repository, tmp_path: Path) -> None:
    """Tracked files and small ones are kept first."""
    for number in range(8):
        repository.write(f"new{number}.bin", os.urandom(10_000 + number))
    repository.write("train.py", os.urandom(30_000))
    code = capture(repository.folder, tmp_path, total_bytes=60_000)
    kept = repository.files(code.git.tree_commit)
    assert {"train.py", "new0.bin", "new1.bin"} <= kept.keys()
    assert [one.path for one in code.git.left_out] == [f"new{number}.bin" for number in range(2, 8)]
    assert "max_tree_bytes" in code.git.left_out[0].why


def test_secrets_are_in_no_patch(repository: Repository, tmp_path: Path) -> None:
    """The patch leaves the machine, the tree does not. Code that only handles secrets is no secret."""
    repository.write("config.py", "API_KEY = 'x8Jq2LmP0aZw'\n")
    repository.write("client.py", "token = next(tokens)\napi_key = os.environ['API_KEY']\n")
    code = capture(repository.folder, tmp_path)
    assert b"x8Jq2LmP0aZw" not in code.patch
    assert b"next(tokens)" in code.patch
    assert [one.path for one in code.git.patch_left_out] == ["config.py"]
    assert "config.py" in repository.files(code.git.tree_commit)


def test_submodules_are_named_with_their_commits(repository: Repository, tmp_path: Path) -> None:
    """And it is said that their changes are not in the tree; so is a repository that is no submodule."""
    subprocess.run(["git", "clone", "-q", str(repository.folder), str(tmp_path / "library")], check=True)
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", f"{tmp_path}/library", "vendor/lib")
    repository.git("config", "-f", ".gitmodules", "submodule.vendor/lib.url", "https://me:secret99@host/lib.git")
    repository.git("commit", "-q", "-a", "-m", "submodule")
    (repository.folder / "vendor/lib/train.py").write_text("changed")
    subprocess.run(["git", "clone", "-q", str(repository.folder), str(repository.folder / "nested")], check=True)
    before = repository.state()
    code = capture(repository.folder, tmp_path)
    assert repository.state() == before
    by_path = {one.path: one for one in code.git.submodules}
    assert by_path.keys() == {"vendor/lib", "nested"}
    assert (by_path["vendor/lib"].dirty, by_path["vendor/lib"].url) == (True, "https://host/lib.git")
    assert by_path["nested"].commit == code.git.commit
    assert "submodules have changes" in code.git.note
    assert code.git.tree_commit == code.git.commit  # its commits alone are as HEAD has them


def test_git_lfs_is_named(repository: Repository, tmp_path: Path) -> None:
    """Where it is not set up, the tree has whole files, and the note says so."""
    repository.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.write("weights.bin", "123")
    code = capture(repository.folder, tmp_path)
    assert code.git.lfs
    assert "git-lfs is not set up here" in code.git.note
    repository.git("config", "filter.lfs.clean", "sed s/^/pointer-to-/")
    code = capture(repository.folder, tmp_path)
    assert code.git.note == ""
    assert repository.files(code.git.tree_commit)["weights.bin"] == "pointer-to-123"


def test_a_file_that_cannot_be_taken_leaves_the_others(repository: Repository, tmp_path: Path) -> None:
    """A filter that fails for one file fails for that file alone."""
    repository.write(".gitattributes", "*.bad filter=broken\n")
    repository.git("config", "filter.broken.clean", "false")
    repository.git("config", "filter.broken.required", "true")
    for name in ("a.py", "b.bad", "c.py"):
        repository.write(name, name)
    code = capture(repository.folder, tmp_path)
    assert {"a.py", "c.py"} <= repository.files(code.git.tree_commit).keys()
    assert [one.path for one in code.git.left_out] == ["b.bad"]


def test_files_changed_after_the_call_are_named(repository: Repository, tmp_path: Path) -> None:
    """The tree is taken a moment later."""
    repository.write("early.py", "1")
    early = os.stat(repository.folder / "early.py").st_mtime_ns // 1_000_000
    os.utime(repository.folder / "early.py", ns=((early - 5000) * 10**6,) * 2)
    repository.write("late.py", "2")
    code = capture(repository.folder, tmp_path, called_at=early - 1000)
    assert code.git.changed_after == ("late.py",)


def test_many_at_once(repository: Repository, tmp_path: Path) -> None:
    """The trials of a sweep, which start at the same time."""
    repository.write("new.py", "x = 1\n")
    failed: list[BaseException] = []

    def one(number: int) -> None:
        try:
            own = tmp_path / f"own{number}"
            own.mkdir()
            assert capture(repository.folder, own, run_id=f"r{number}").git.ref
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(repository.git("for-each-ref", "refs/unitrack").splitlines()) == 4


@pytest.mark.parametrize("run_id", ["a..b", "x.lock", "x.", "plain-1.2_3"])
def test_every_id_of_a_run_is_a_reference(run_id: str, repository: Repository, tmp_path: Path) -> None:
    """git refuses some names that unitrack allows."""
    code = capture(repository.folder, tmp_path, run_id=run_id)
    assert code.git.ref == ref_of(run_id)
    assert repository.git("rev-parse", code.git.ref) == code.git.tree_commit
