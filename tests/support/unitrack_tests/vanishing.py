"""A folder that is there when it is found and gone when it is read, as a spool that a courier removes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def make_vanishing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty folder, which is removed as soon as something looks into it."""
    folder.mkdir()
    scandir = os.scandir

    def scan(path: str | os.PathLike[str] = ".") -> object:
        if Path(path) == folder:
            folder.rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
