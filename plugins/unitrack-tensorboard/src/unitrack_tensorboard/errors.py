"""Errors of the file system as errors of a sink, which say what the lane is to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitrack.errors import SinkMisconfiguredError, SinkUnavailableError

_LATER = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOENT}
"""Full, over quota, a network disk that hangs, a folder that was deleted: waiting or opening again can help."""
_MEND = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}
"""Not ours to write: somebody has to change something."""


@contextmanager
def classified(root: Path, *, reopen: bool = False) -> Iterator[None]:
    """Raise `SinkUnavailableError` or `SinkMisconfiguredError` for an `OSError` in writing below `root`.

    `reopen`: what is done within may not be done twice, so the sink has to go back to its checkpoint.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _LATER:
            raise SinkUnavailableError(f"can't write to {root}: {error}", reopen=reopen) from error
        if error.errno in _MEND:
            raise SinkMisconfiguredError(f"can't write to {root}: {error}. Mend it, or set another logdir") from error
        raise
