"""Errors of the disk: what a user can do about one, and which may pass by themselves."""

from __future__ import annotations

import errno

_REMEDIES = {
    errno.ENOSPC: "make room on the disk and go on",
    errno.EDQUOT: "the quota is used up: make room, or have it raised, and go on",
    errno.EFBIG: "a limit on the size of files is reached (`ulimit -f`): raise it and go on",
    errno.EROFS: "the file system is mounted read-only: remount it, or set another `root`",
    errno.EACCES: "is the run folder writable?",
    errno.EPERM: "is the run folder writable?",
    errno.EIO: "the disk fails: look into the system's log, and set another `root`",
    errno.EMFILE: "too many files are open in this process: close some, or raise `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine: close some",
    errno.ENOENT: "was the run folder deleted? Start another run",
    errno.EBADF: "the journal is closed: start another run, or resume this one",
}

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def is_passing(error: BaseException) -> bool:
    """Return whether this machine causes an error, which may pass, and no record does: a full disk, for example."""
    return isinstance(error, OSError) and error.errno in _PASSING


def remedy(code: int | None) -> str:
    """Return what a user can do about an `errno`, as the end of a message."""
    return _REMEDIES.get(code or 0, "look after the disk that the run folder is on, and go on")
