"""Copying an artifact of a stored run to a folder of this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from unitrack.errors import SourceError, UnitrackError
from unitrack.reading.guard import GuardedSource
from unitrack.records import Artifact


def fetch_artifact(source: GuardedSource, run_id: str, artifact: Artifact, folder: Path) -> Path:
    """Copy an artifact to `folder / artifact.name`, in place of what is there, and return that path.

    Raises `SourceError` if its name leads out of the folder, or if it can't be read or written.
    """
    target = folder / artifact.name
    if not Path(os.path.normpath(target)).is_relative_to(os.path.normpath(folder)) or target == folder:
        where = f"{str(source.location)!r} would lie outside of {str(folder)!r}"
        raise SourceError(f"the artifact {artifact.name!r} of {where}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unitrack-", dir=folder) as scratch:
            content = locate_content(source, run_id, artifact, Path(scratch))
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, content, Path(scratch, "copy"))
    except UnitrackError:
        raise
    except (OSError, ValueError) as error:  # a ValueError for a path that no file system takes
        raise SourceError(f"can't bring {artifact.name!r} to {str(folder)!r}: {error}") from error
    return target


def locate_content(source: GuardedSource, run_id: str, artifact: Artifact, scratch: Path) -> Path:
    """Return where the content lies on this machine, perhaps after the source has brought it into `scratch`."""
    if Path(artifact.file).is_absolute() and Path(artifact.file).exists():
        return Path(artifact.file)
    fetched = scratch / "fetched"
    fetched.mkdir()
    return source.fetch(run_id, artifact, fetched)


def _replace(target: Path, content: Path, copy: Path) -> None:
    """Copy first, so that what was there goes only when something else can take its place."""
    if content.is_dir():
        shutil.copytree(content, copy)
    else:
        shutil.copyfile(content, copy)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif content.is_dir():
        target.unlink(missing_ok=True)
    copy.rename(target)
