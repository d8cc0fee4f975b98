"""Files that stay where they belong, whoever wrote the folder they lie in.

A run folder may come from a stranger: unpacked, or on a shared disk. What its journal and its manifest say of paths is
a claim, and a part of it may be a symbolic link or a pipe.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from unitrack.limits import MAX_STATE_BYTES

FILE_MODE = 0o664
FOLDER_MODE = 0o775
"""What the umask may take from. Never writable for all: what lies in a spool is delivered with the owner's keys."""


_OURS = (".", ".spool", ".unitrack", "artifacts")
"""What lies in a run folder, and is no backend's."""


class UnsafePathError(ValueError):
    """A path leads out of the folder it belongs to, or to what is no regular file."""


def leads_out(name: str) -> bool:
    """Whether a name, with either slash, leads out of the folder that it is to be put in, or is that folder."""
    path = PurePosixPath(posix := name.replace("\\", "/"))
    return not posix.strip("/ ") or path.is_absolute() or ".." in path.parts or "\0" in posix


def locate_inside(folder: Path, file: str) -> Path:
    """The file or folder `file`, relative to `folder` or absolute, which lies in it; it need not exist.

    Raises `UnsafePathError` if it doesn't lie in there, if a part of its path below `folder`, or for a folder anything
    in it, is a symbolic link, or if it is no regular file. The run's own copies hold no links.
    """
    try:
        base = os.path.realpath(folder)
        given = os.path.join(base, file)
        if os.path.isabs(file):  # in the words of whoever wrote it, who may have come by another link
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
            return  # it is gone: who opens it will say so
        raise UnsafePathError(f"{shown[:80]!r} can't be looked at ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        for member in os.listdir(path):
            _refuse_specials(os.path.join(path, member), f"{shown}/{member}")
    elif not stat.S_ISREG(mode):
        raise UnsafePathError(f"{shown!r} is {'a symbolic link' if stat.S_ISLNK(mode) else 'no regular file'}")


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder once all symbolic links are followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return False


def read_regular(path: Path, max_bytes: int = MAX_STATE_BYTES) -> bytes:
    """A file's content.

    Raises `OSError` if it can't be read, is a pipe or a device, on which reading would wait for ever, or has more than
    `max_bytes`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, max_bytes) + 1)  # this much is set aside at once, and training may lack memory
    if len(content) > max_bytes:
        raise OSError(0, f"it has more than {max_bytes} bytes", str(path))
    return content


def open_regular(path: Path) -> BinaryIO:
    """A file to read; raises `OSError` as `read_regular` does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file", str(path))
    return open(descriptor, "rb")


def find_escape(folder: Path) -> Path | None:
    """A symbolic link in a run folder, however deep, that leads out of it; None if there is none.

    In folders that a backend keeps there, a link to a file is its own: W&B's SDK makes one to its log.
    """
    base = os.path.realpath(folder)
    for place, folders, files in os.walk(folder):
        inside = os.path.relpath(place, folder).split(os.sep)[0]
        for name in (*folders, *files) if inside in _OURS else folders:
            path = os.path.join(place, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(base + os.sep):
                return Path(path)
    return None


def link_or_copy(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Have the file or folder `source` as `destination` too, which is not there yet: by links where the disk has them.

    Raises `OSError`.
    """
    import shutil  # training, which imports this module, has no need of its compressors

    if os.path.isdir(source):
        shutil.copytree(source, destination, copy_function=link_or_copy)
        return
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def make_folders(path: Path) -> None:
    """A folder and those above it that are missing, none of them writable for all. Raises `OSError`."""
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """`os.open` for files of ours: never through a symbolic link, never writable for all, and a pipe in its place fails
    at once. It can be the `opener` of `open`.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)
