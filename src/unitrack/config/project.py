"""The project of runs whose configuration names none."""

from __future__ import annotations

import os
from pathlib import Path

FALLBACK = "default"
"""In a home folder, or at the root of a file system."""


def default_project(directory: Path) -> str:
    """Return the name of the git repository that `directory` lies in, else its own name."""
    home = Path(os.path.expanduser("~"))
    folder = directory
    for parent in (directory, *directory.parents):
        if parent == home:
            break
        if (parent / ".git").exists():
            folder = parent
            break
    return FALLBACK if folder == home else folder.name or FALLBACK
