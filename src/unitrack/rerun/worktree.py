"""A git worktree with the code of a run, in a folder of its own; the work tree of the user is left alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from unitrack.environment.record import Submodule
from unitrack.errors import ConfigError
from unitrack.rerun.code import Code
from unitrack.rerun.git import run_git, try_git


@contextlib.contextmanager
def checked_out(
    code: Code, folder: Path, *, patch: Path | None, submodules: Sequence[Submodule], links: Sequence[str], keep: bool
) -> Iterator[Path]:
    """Check the code of a run out below `folder`, yield the top of the work tree, and remove it afterwards.

    `links`: paths in the user's work tree, relative to its top, that the new one gets as symbolic links. `keep` leaves
    the work tree. Raises `ConfigError`.
    """
    top = folder / code.folder_name
    run_git(code.repository, "worktree", "add", "--detach", "--quiet", str(top), code.commit)
    try:
        if patch is not None and patch.stat().st_size:
            run_git(top, "apply", "--whitespace=nowarn", "--binary", str(patch))
        if submodules:
            run_git(top, "submodule", "update", "--init", "--recursive", "--", *(one.path for one in submodules))
        for link in links:
            _link(link, Path(code.repository), top)
        yield top
    finally:
        if not keep:
            try_git(code.repository, "worktree", "remove", "--force", "--force", str(top))
            try_git(code.repository, "worktree", "prune")


def _link(path: str, source: Path, top: Path) -> None:
    original, target = source / path, top / path
    if not inside(original, source) or os.path.isabs(path):
        raise ConfigError(f"--link {path!r} must be a path in the repository, relative to its top {source}")
    if not original.exists():
        raise ConfigError(f"--link {path!r}: there is no {original}")
    if target.exists() or target.is_symlink():
        raise ConfigError(f"--link {path!r}: the code of the run has it already")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(original)


def inside(path: Path, folder: Path) -> bool:
    """Return whether a path leads into a folder, or to it, by its parts alone."""
    return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))
