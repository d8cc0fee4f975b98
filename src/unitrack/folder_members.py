"""What is logged of a folder: not what came into it by accident."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from unitrack.runfolder import is_run_folder

_NEVER = frozenset({".git", ".hg", ".svn", "__pycache__"})
"""Names of folders that hold history and caches."""


def is_passed_over(folder: Path) -> bool:
    """Return whether a folder is left out of what is logged of the one that holds it.

    So are version control, Python's caches, virtual environments and run folders; given by itself, each can be logged.
    """
    return folder.name in _NEVER or os.path.exists(folder / "pyvenv.cfg") or is_run_folder(folder)


def members(folder: Path) -> Iterator[Path]:
    """Yield all that lies below a folder, sorted, folders before what is in them, without those passed over."""
    for path in sorted(folder.iterdir()):
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder and is_passed_over(path):
            continue
        yield path
        if is_folder:
            yield from members(path)
