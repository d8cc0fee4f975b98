"""The members of a folder that are logged with it: caches, version control and stores of backends are left out."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from unitrack.errors import InvalidValueError

_NEVER = frozenset({".git", ".hg", ".svn", "__pycache__"})
"""Names of folders of version control and caches."""


def is_passed_over(path: Path, stores: Iterable[str]) -> bool:
    """Return whether a folder, or a link to one, is left out when the folder that holds it is logged.

    Left out are version control, Python's caches, virtual environments, and the stores of backends (`stores`: their
    globs, see `Backend.stores`). Each of them can be logged by naming it itself.
    """
    if not os.path.isdir(path):  # `Path.is_dir` raises for a link into a folder that can't be read
        return False
    return path.name in _NEVER or os.path.exists(path / "pyvenv.cfg") or any(_is_store(path, glob) for glob in stores)


def _is_store(folder: Path, glob: str) -> bool:
    name, _, inside = glob.partition("/")
    return fnmatch.fnmatchcase(folder.name, name) and any(True for _ in folder.glob(inside))


def walk_members(folder: Path, stores: Iterable[str] = ()) -> Iterator[Path]:
    """Yield everything below a folder, sorted, a folder before its members, without those that are passed over.

    Links are yielded but not followed. Raises `InvalidValueError` for a folder that can't be read.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidValueError(f"folder {folder} can't be read: {error.strerror}") from None
    for path in inside:
        if is_passed_over(path, stores):
            continue
        yield path
        if os.path.isdir(path) and not path.is_symlink():
            yield from walk_members(path, stores)
