"""A git worktree with the code of a run, in a folder of its own; the work tree of the user is left alone."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from unitrack.errors import ConfigError
from unitrack.rerun.code import Code
from unitrack.rerun.git import run_git, try_git
from unitrack.rerun.lfs import fill
from unitrack.rerun.submodules import check_out_inner
from unitrack.rerun.workplace import Workplace, undisturbed


@contextlib.contextmanager
def checked_out(
    code: Code, place: Workplace, *, patch: Path | None = None, links: Sequence[str] = ()
) -> Iterator[Path]:
    """Check the code of a run out in the workplace, yield the top of the work tree, and remove it afterwards.

    `links`: paths in the user's work tree, relative to its top, that the new one gets as symbolic links. The work tree
    stays if the workplace is kept. Raises `ConfigError`.
    """
    top = place.folder / code.folder_name
    try:
        run_git(code.repository, "worktree", "add", "--detach", "--quiet", str(top), code.commit)
        if patch is not None and patch.stat().st_size:
            run_git(top, "apply", "--whitespace=nowarn", "--binary", str(patch))
        if code.lfs is not None:
            fill(code.repository, code.commit, top)
        check_out_inner([one for one in code.inner if one.path not in links], top)
        for link in links:
            _link(link, Path(code.repository), top)
        yield top
    finally:
        if not place.is_kept:
            with undisturbed():
                _remove(code.repository, top)


def _remove(repository: str, top: Path) -> None:
    """Remove a work tree, also one that git was stopped from making, and its entry in the repository."""
    if try_git(repository, "worktree", "remove", "--force", "--force", str(top)) is None:
        shutil.rmtree(top, ignore_errors=True)
        try_git(repository, "worktree", "unlock", str(top))
    try_git(repository, "worktree", "prune")


def _link(path: str, source: Path, top: Path) -> None:
    original, target = source / path, top / path
    if not inside(original, source) or os.path.isabs(path):
        raise ConfigError(f"--link {path!r} must be a path in the repository, relative to its top {source}")
    if not original.exists():
        raise ConfigError(f"--link {path!r}: there is no {original}")
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()  # of a submodule, which is not checked out then
    if target.exists() or target.is_symlink():
        raise ConfigError(f"--link {path!r}: the code of the run has it already")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(original)


def inside(path: Path, folder: Path) -> bool:
    """Return whether a path leads into a folder, or to it, by its parts alone."""
    return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))
