"""What is logged of a folder: not what came into it by accident."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from unitrack.errors import InvalidValueError
from unitrack.plugins import installed
from unitrack.runfolder import is_run_folder

_NEVER = frozenset({".git", ".hg", ".svn", "__pycache__"})
"""Names of folders that hold history and caches."""


def is_passed_over(path: Path) -> bool:
    """Return whether a folder, or a link to one, is left out of what is logged of the folder that holds it.

    Left out are version control, Python's caches, virtual environments, run folders, and the stores of backends
    (`Backend.stores`); given by itself, each can be logged.
    """
    if not os.path.isdir(path):  # `Path.is_dir` raises for a link into a folder that can't be read
        return False
    return (
        path.name in _NEVER
        or os.path.exists(path / "pyvenv.cfg")
        or is_run_folder(path)
        or any(_is_store(path, glob) for backend in installed().backends.values() for glob in backend.stores)
    )


def _is_store(folder: Path, glob: str) -> bool:
    name, _, inside = glob.partition("/")
    return folder.name == name and any(True for _ in folder.glob(inside))


def members(folder: Path) -> Iterator[Path]:
    """Yield all that lies below a folder, sorted, folders before what is in them, without those passed over.

    Links are yielded and not followed. Raises `InvalidValueError` for a folder that can't be read.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidValueError(f"folder {folder} can't be read: {error.strerror}") from None
    for path in inside:
        if is_passed_over(path):
            continue
        yield path
        if os.path.isdir(path) and not path.is_symlink():
            yield from members(path)
