"""Artifacts, kept as files below the run's TensorBoard folder. `views` says what is shown of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from unitrack.errors import RecordRejectedError

_PARTIAL = ".unitrack-partial"


def keep(source: Path, directory: Path, name: str) -> Path:
    """Link or copy a file or folder to `directory / name`, in place of what is there, and return that path.

    A file at `name` is whole at all times. Raises `RecordRejectedError` for what can't be kept, and
    `OSError` for trouble with the disk.
    """
    target = directory / _checked(name)
    partial = target.with_name(f".{target.name[:100]}{_PARTIAL}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RecordRejectedError(f"artifact {name!r}: a part of its path is already a file") from error
    try:
        _copy(source, partial)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        elif partial.is_dir():
            target.unlink(missing_ok=True)
        partial.replace(target)
    except FileNotFoundError as error:
        if source.exists():
            raise
        raise RecordRejectedError(f"artifact {name!r}: the run's copy {source} is gone") from error
    finally:
        _remove(partial)
    return target


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise RecordRejectedError(f"artifact name {name!r} leads out of the run's artifacts")
    return path


def _copy(source: Path, target: Path) -> None:
    _remove(target)
    if not source.is_dir():
        _link_or_copy(str(source), str(target))
        return
    failures: list[OSError] = []

    def place(source: str, target: str) -> None:
        try:
            _link_or_copy(source, target)
        except OSError as error:
            failures.append(error)
            raise

    try:
        shutil.copytree(source, target, symlinks=True, copy_function=place)
    except shutil.Error as error:  # which doesn't tell a full disk from a missing permission
        raise (failures[0] if failures else error) from None


def _link_or_copy(source: str, target: str) -> None:
    """The run's copy never changes, so a hard link, which costs no space, is as good where there can be one."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
