"""The source files of a project: what git would commit, or what lies in a folder."""

from __future__ import annotations

import fnmatch
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from unitrack.folder_members import is_passed_over, members

SOURCES = ("*.py", "*.ipynb")
"""What counts as source by default."""
_GIT_TIMEOUT_S = 10


def source_files(root: Path, include: Sequence[str], exclude: Sequence[str]) -> dict[str, Path]:
    """Return the files below `root` that match a glob of `include` and none of `exclude`, by relative POSIX path.

    What `folder_members` passes over is left out, and what git ignores. A glob is compared with the path and with the
    name alone.
    """
    found = (name for name in _in_git(root) or _in_folder(root) if _matches(name, include))
    passed_over = functools.cache(lambda folder: is_passed_over(root / folder))
    return {
        name: root / name
        for name in sorted(found)
        if not _matches(name, exclude)
        and not any(map(passed_over, PurePosixPath(name).parents[:-1]))  # the last is `root` itself
        and os.path.isfile(root / name)
    }


def _matches(name: str, globs: Iterable[str]) -> bool:
    own = PurePosixPath(name).name
    return any(fnmatch.fnmatchcase(name, glob) or fnmatch.fnmatchcase(own, glob) for glob in globs)


def _in_git(root: Path) -> list[str]:
    """Files that are tracked, and those that are new and not ignored; none outside of a repository, or without git."""
    import subprocess

    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=True, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return []
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _in_folder(root: Path) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in members(root) if not path.is_symlink())
