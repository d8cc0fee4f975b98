"""What to do about an error of the operating system that has to do with files: the end of a message."""

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
    """Whether it is the machine's trouble, which may pass: no record is to blame, and nobody need say that it has."""
    return isinstance(error, OSError) and error.errno in _PASSING


def remedy(code: int | None) -> str:
    """What somebody should do about an `errno`."""
    return _REMEDIES.get(code or 0, "look after the disk that the run folder is on, and go on")
