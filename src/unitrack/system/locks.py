"""Locks on files. The kernel releases a lock when the process that holds it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path

from unitrack.system.files import open_private


class FileLock:
    """An exclusive `flock`, held from `acquire` to `release`. A forked child does not hold its parent's locks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor >= 0

    @property
    def descriptor(self) -> int:
        """The open file; -1 if the lock is not held."""
        return self._descriptor

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock and return True; return False if another holder has it, unless `wait`.

        Raises `OSError` if the file can't be made or the file system has no locks.
        """
        descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)
        return True

    def release(self) -> None:
        """Release the lock, if it is held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # a forked child of another program may hold a copy of the descriptor
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def forget_in_child(self) -> None:
        """Close the copy of the descriptor in a forked child. The parent keeps the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def is_locked(descriptor: int) -> bool:
    """Return whether another open file holds the lock on this one. Raises `OSError` if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two readers do not block each other
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_file_locked(path: Path) -> bool:
    """Return whether a process holds the lock on a file; False if that can't be determined. The file is only read."""
    try:
        descriptor = open_private(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return is_locked(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget_in_child()
    _held.clear()


os.register_at_fork(after_in_child=_forget_all)
