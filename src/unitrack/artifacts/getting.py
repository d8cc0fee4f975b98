"""Copies of versions, for those who want to change them."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from unitrack.artifacts.finding import FoundArtifact
from unitrack.blobs.copying import clone_or_copy
from unitrack.errors import SourceError
from unitrack.system.files import remove_path


def copy_to(found: FoundArtifact, folder: Path) -> Path:
    """Copy a version into a folder, in place of what has its name there, and return the copy, which may be written to.

    Raises `SourceError` for a reference to data that is not on this machine, or if it can't be read or written.
    """
    source = Path(os.fspath(found))
    target = folder / source.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unitrack-", dir=folder) as scratch:
            copy = Path(scratch, source.name)
            if source.is_dir():
                shutil.copytree(source, copy, copy_function=_copy)
            else:
                _copy(source, copy)
            remove_path(target)
            os.rename(copy, target)
    except OSError as error:
        raise SourceError(f"can't copy {found} to {folder}: {error}") from error
    return target


def _copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    clone_or_copy(source, target)
    os.chmod(target, stat.S_IMODE(os.stat(target).st_mode) | stat.S_IWUSR)
