"""Putting an artifact among a run's files, under its own name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from unitrack.errors import RecordRejectedError, SinkUnavailableError
from unitrack_wandb.names import file_name


def place(source: Path, name: str, files_folder: Path) -> dict[str, int]:
    """Link or copy the file or folder `source` into `files_folder` as `name`; returns each file's name and its bytes.

    The copy in the spool is never written again, so a hard link is enough, and outlives it. Raises
    `RecordRejectedError` for a name that leads out of the folder or below a file, `SinkUnavailableError` if the disk
    fails.
    """
    placed = {}
    contents = list(_contents(source, name))
    _remove(files_folder / file_name(name), files_folder)  # a folder is replaced whole, and may replace a file
    for file, relative in contents:
        target = files_folder / file_name(relative)
        if not Path(os.path.normpath(target)).is_relative_to(files_folder):
            raise RecordRejectedError(f"the artifact {relative!r} would lie outside the run's files")
        try:
            link(file, target)
        except (FileExistsError, NotADirectoryError) as error:
            raise RecordRejectedError(f"{relative!r} lies below an artifact that is a file") from error
        except OSError as error:
            message = f"can't place the artifact {relative!r} in {files_folder}: {error}"
            raise SinkUnavailableError(message, reopen=True) from error  # rows of the batch may be logged
        placed[file_name(relative)] = target.stat().st_size
    return placed


def media_files(files_folder: Path) -> dict[str, int]:
    """Return the files that the SDK made for its rows: name and size in bytes."""
    found = (path for path in (files_folder / "media").rglob("*") if path.is_file())
    return {path.relative_to(files_folder).as_posix(): path.stat().st_size for path in found}


def _remove(path: Path, files_folder: Path) -> None:
    """Remove what an earlier artifact of the same name left, if it lies in `files_folder`."""
    if not Path(os.path.normpath(path)).is_relative_to(files_folder) or path == files_folder:
        return
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except NotADirectoryError:  # it was to lie below an artifact that is a file
        return
    except OSError as error:
        raise SinkUnavailableError(f"can't replace the artifact at {path}: {error}", reopen=True) from error


def _contents(source: Path, name: str) -> Iterator[tuple[Path, str]]:
    if not source.exists():
        raise RecordRejectedError(f"the artifact {name!r} is gone from {source}")
    if not source.is_dir():
        yield source, name
        return
    for file in sorted(source.rglob("*")):
        if file.is_file():
            yield file, f"{name}/{file.relative_to(source).as_posix()}"


def link(file: Path, target: Path) -> None:
    """Make `target` the same file as `file`, or a copy where links can't be made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)
