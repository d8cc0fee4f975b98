"""The source files of a project: what git would commit, or what lies in a folder."""

from __future__ import annotations

import fnmatch
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from unitrack.system.members import is_passed_over, walk_members

SOURCES = ("*.py", "*.ipynb")
"""What counts as source by default."""
_GIT_TIMEOUT_S = 10


def source_files(root: Path, include: Sequence[str], exclude: Sequence[str], stores: Sequence[str]) -> dict[str, Path]:
    """Return the files below `root` that match a glob of `include` and none of `exclude`, by relative POSIX path.

    What git ignores is left out, and what `is_passed_over` says of `stores`. A glob is compared with the path and with
    the name alone.
    """
    found = (name for name in _in_git(root) or _in_folder(root, stores) if _matches(name, include))
    passed_over = functools.cache(lambda folder: is_passed_over(root / folder, stores))
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
    """Return the files that git tracks, and those that are new and not ignored; none without a repository or git."""
    from unitrack.environment.git import Git, GitError  # noqa: PLC0415  # subprocess costs 4 ms

    try:
        found = Git(root, _GIT_TIMEOUT_S).names("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except GitError:
        return []
    return [os.fsdecode(name) for name in found]


def _in_folder(root: Path, stores: Sequence[str]) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in walk_members(root, stores) if not path.is_symlink())
