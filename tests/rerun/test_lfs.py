"""Files of git-lfs in the code of a run, with git-lfs and without."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from unitrack_tests.records_of_runs import commit, record

import unitrack
from unitrack.environment.record import Git
from unitrack.errors import ConfigError
from unitrack.rerun.code import Code, find_code
from unitrack.rerun.git import has_git_lfs, run_git
from unitrack.rerun.workplace import Workplace
from unitrack.rerun.worktree import checked_out


def pointer(content: bytes) -> str:
    """The file that git-lfs commits: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def store(repository: Path, content: bytes) -> None:
    """Keep a content where git-lfs does."""
    digest = hashlib.sha256(content).hexdigest()
    place = repository / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


@pytest.fixture
def code(root: Path, repository: Path) -> Code:
    """The code of a run with a file whose content is here, one whose content is not, and text like a pointer."""
    for name, content in (("here.bin", b"0" * 5000), ("gone.bin", b"1" * 6000)):
        (repository / name).write_text(pointer(content))
    (repository / "about.md").write_text("as in " + pointer(b"2"))
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    store(repository, b"0" * 5000)
    git = Git(commit=commit(repository), dirty=False, root=str(repository), lfs=True)
    run_git(repository, "config", "filter.lfs.required", "true")
    run_git(repository, "config", "filter.lfs.smudge", "git-lfs smudge -- %f")
    with unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline") as run:
        pass
    return find_code(unitrack.runs(run.path)[0], record(repository, git=git), repository=None, here=root)


def test_without_git_lfs(root: Path, code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although git is told to call it: what is on this machine is there, and the plan names the rest."""
    for module in ("git", "lfs"):
        monkeypatch.setattr(f"unitrack.rerun.{module}.has_git_lfs", lambda: False)
    assert code.lfs is not None
    assert (code.lfs.files, code.lfs.missing) == (2, ("gone.bin",))
    lacking = "gone.bin: not on this machine, and git-lfs is not installed, so the program gets pointers"
    assert lacking in type(code.lfs)(files=2, missing=code.lfs.missing, is_installed=False).in_words()
    (root / "work").mkdir()
    with checked_out(code, Workplace(root / "work")) as top:
        assert (top / "here.bin").read_bytes() == b"0" * 5000
        assert (top / "gone.bin").read_text() == pointer(b"1" * 6000)
        assert (top / "about.md").read_text().startswith("as in version")


@pytest.mark.skipif(not has_git_lfs(), reason="git-lfs is not installed")
def test_git_lfs_itself(root: Path, repository: Path, code: Code) -> None:
    """It puts there what it has; what nobody has is its error."""
    run_git(repository, "config", "filter.lfs.process", "git-lfs filter-process")
    (root / "work").mkdir()
    with pytest.raises(ConfigError, match="Error downloading object"), checked_out(code, Workplace(root / "work")):
        pass
    assert list((root / "work").iterdir()) == []
    store(repository, b"1" * 6000)
    with checked_out(code, Workplace(root / "work")) as top:
        assert (top / "gone.bin").read_bytes() == b"1" * 6000
