"""Bringing an artifact of a stored run to this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from unitrack.errors import UnitrackError
from unitrack.hookspecs import Source
from unitrack.records import Artifact
from unitrack.runs.errors import SourceError
from unitrack.runs.location import Location


def bring(source: Source, location: Location, run_id: str, artifact: Artifact, folder: Path) -> Path:
    """A copy of the artifact at `folder / artifact.name`, in place of what is there. Raises `SourceError`."""
    target = folder / artifact.name
    if not Path(os.path.normpath(target)).is_relative_to(os.path.normpath(folder)) or target == folder:
        raise SourceError(f"the artifact {artifact.name!r} of {str(location)!r} would lie outside of {str(folder)!r}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unitrack-", dir=folder) as scratch:
            there = _found(source, location, run_id, artifact, Path(scratch))
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, there, Path(scratch, "copy"))
    except (OSError, ValueError) as error:  # the latter for a path that no file system takes
        if isinstance(error, UnitrackError):
            raise
        raise SourceError(f"can't bring {artifact.name!r} to {str(folder)!r}: {error}") from error
    return target


def _found(source: Source, location: Location, run_id: str, artifact: Artifact, scratch: Path) -> Path:
    if Path(artifact.file).is_absolute() and Path(artifact.file).exists():
        return Path(artifact.file)
    fetch = getattr(source, "fetch", None)
    if fetch is None:
        raise SourceError(f"{artifact.name!r} is not on this machine, and {str(location)!r} has no way to bring it")
    fetched = scratch / "fetched"
    fetched.mkdir()
    try:
        return Path(fetch(run_id, artifact, fetched))
    except UnitrackError:
        raise
    except Exception as error:
        what = f"{artifact.name!r} from {str(location)!r}"
        raise SourceError(f"can't bring {what}: {error or type(error).__name__}") from error


def _replace(target: Path, source: Path, copy: Path) -> None:
    """Copy first, so that what was there goes only when something else can take its place."""
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        shutil.copyfile(source, copy)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif source.is_dir():
        target.unlink(missing_ok=True)
    copy.rename(target)
