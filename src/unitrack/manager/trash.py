"""The trash of a root: run folders that were cleaned away, until it is emptied."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.errors import ConfigError
from unitrack.system.files import files_below

_TRASH = ".trash"


class Batch(msgspec.Struct, frozen=True):
    """What one call has put into the trash."""

    folder: Path
    runs: tuple[str, ...]
    """The names of the run folders."""


class Trash:
    """The folder `.trash` under a root, on the same file system: putting away and bringing back are renames."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / _TRASH

    def batches(self) -> list[Batch]:
        """Return what was put away, the oldest first."""
        if not self._folder.is_dir():
            return []
        return [
            Batch(folder, tuple(sorted(run.name for run in folder.iterdir())))
            for folder in sorted(self._folder.iterdir())
            if folder.is_dir() and not folder.is_symlink()
        ]

    def new_batch(self) -> Path:
        """Make and return the folder for what is put away now. Raises `OSError`."""
        stamp = time.time_ns() // 1_000_000
        batch = self._folder / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(stamp / 1000))}-{stamp % 1000:03d}"
        batch.mkdir(parents=True)
        return batch

    def bring_back(self) -> Batch:
        """Put the newest batch back where it was, and return it.

        Raises `ConfigError` if the trash is empty, or if a name is taken by now: then nothing is moved.
        """
        batches = self.batches()
        if not batches:
            raise ConfigError(f"the trash of {self._root} is empty: there is nothing to bring back")
        newest = batches[-1]
        if taken := [name for name in newest.runs if os.path.lexists(self._root / name)]:
            raise ConfigError(f"{self._root / taken[0]} is there again: move it away, then bring back {newest.folder}")
        for name in newest.runs:
            os.rename(newest.folder / name, self._root / name)
        with contextlib.suppress(OSError):
            newest.folder.rmdir()
            self._folder.rmdir()
        return newest

    def empty(self) -> None:
        """Delete what is in the trash, for good. Raises `OSError`."""
        if self._folder.is_symlink():
            raise ConfigError(f"{self._folder} is a symbolic link: it is not emptied")
        shutil.rmtree(self._folder, ignore_errors=False)


def size_of(folder: Path) -> int:
    """Return the bytes that the files of a folder take, those behind links not counted."""
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    seen: set[tuple[int, int]] = set()  # an artifact lies there as a link to the copy that was logged
    for path in files_below(folder):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                yield found.st_blocks * 512
