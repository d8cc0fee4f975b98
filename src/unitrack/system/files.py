"""Safe access to the files of a run folder, which a stranger may have written.

A run folder may be unpacked from an archive, or lie on a shared disk. The paths in its journal and its manifest are not
trusted, and any part of them may be a symbolic link or a pipe.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from unitrack.limits import MAX_STATE_BYTES

FILE_MODE = 0o664
FOLDER_MODE = 0o775
"""Modes before the umask. Never writable for all: the files of a spool are delivered with the owner's credentials."""


_OWN_FOLDERS = (".", ".spool", ".unitrack", "artifacts")
"""The parts of a run folder that unitrack itself writes."""


class UnsafePathError(ValueError):
    """A path leads out of its folder, or to something that is not a regular file."""


def locate_inside(folder: Path, file: str) -> Path:
    """Return the path of `file`, which is relative to `folder` or absolute, and lies in it. It need not exist.

    Raises `UnsafePathError` if it lies outside, if a part of its path below `folder` or anything in it is a symbolic
    link, or if it is neither a folder nor a regular file. The run's own copies hold no links.
    """
    try:
        base = os.path.realpath(folder)
        given = os.path.join(base, file)
        if os.path.isabs(file):  # its writer may have reached `folder` by another link
            given = os.path.join(base, os.path.relpath(file, folder))
        expected = os.path.normpath(given)
        if not expected.startswith(base.rstrip(os.sep) + os.sep):
            raise UnsafePathError(f"{file!r} leads out of the run folder")
        if os.path.realpath(given) != expected:
            raise UnsafePathError(f"{file!r} leads through a symbolic link")
        _refuse_specials(expected, file)
    except ValueError as error:  # a NUL byte, broken Unicode
        raise error if isinstance(error, UnsafePathError) else UnsafePathError(f"{file!r} is no path") from error
    return folder / file


def _refuse_specials(path: str, shown: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return  # it is gone: opening it will raise
        raise UnsafePathError(f"{shown[:80]!r} can't be looked at ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        for member in os.listdir(path):
            _refuse_specials(os.path.join(path, member), f"{shown}/{member}")
    elif not stat.S_ISREG(mode):
        raise UnsafePathError(f"{shown!r} is {'a symbolic link' if stat.S_ISLNK(mode) else 'no regular file'}")


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path lies in a folder once all symbolic links are followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return False


def read_regular(path: Path, max_bytes: int = MAX_STATE_BYTES) -> bytes:
    """Return a file's content.

    Raises `OSError` if it can't be read, has more than `max_bytes`, or is a pipe or a device, where reading might never
    return.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(
            min(size, max_bytes) + 1
        )  # `read` allocates this much at once, and training may be short of memory
    if len(content) > max_bytes:
        raise OSError(0, f"it has more than {max_bytes} bytes", str(path))
    return content


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading. Raises `OSError` if it can't be read, or is a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file", str(path))
    return open(descriptor, "rb")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield what lies below a folder and is no folder. Folders that vanish meanwhile, as beside a run at work, are left
    out; links to folders are neither yielded nor followed.
    """
    return (Path(place, name) for place, _, names in os.walk(folder) for name in names)


def find_escape(folder: Path) -> Path | None:
    """Return a symbolic link in a run folder, at any depth, that leads out of it; None if there is none.

    In the folders of backends, links to files are allowed: W&B's SDK makes one to its log.
    """
    base = os.path.realpath(folder)
    for place, folders, files in os.walk(folder):
        inside = os.path.relpath(place, folder).split(os.sep)[0]
        for name in (*folders, *files) if inside in _OWN_FOLDERS else folders:
            path = os.path.join(place, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(base + os.sep):
                return Path(path)
    return None


def link_or_copy(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Make `destination` a hard link to the file `source`, or a folder of such links; copy if that fails.

    `destination` must not exist. Raises `OSError`.
    """
    import shutil  # noqa: PLC0415  # three compressors cost 2 ms

    if os.path.isdir(source):
        shutil.copytree(source, destination, copy_function=link_or_copy)
        return
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def remove_path(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it is there. Raises `OSError`."""
    import shutil  # noqa: PLC0415  # as above

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_folders(path: Path) -> None:
    """Make a folder and its missing parents, none of them writable for all. Raises `OSError`."""
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file of a run folder: never through a symbolic link, never writable for all, never waiting for a pipe.

    It can be the `opener` of `open`.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)
