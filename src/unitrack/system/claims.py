"""Claims: which folder of a shared store belongs to a run, decided atomically.

Two runs with the same name may deliver to one store at the same moment, from one process or from two machines. The
first one gets the folder of that name, the other one `<name>-<run id>`. A claim is a small file that holds the id of
its run from the moment it exists, so after a crash at any point the folder is either free or found again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from unitrack.errors import SinkMisconfiguredError
from unitrack.names import escape, shorten
from unitrack.system.files import open_private
from unitrack.values.codec import decode

CLAIM = ".unitrack-run.json"
"""The file in a claimed folder."""

_MAX_FOLDER_NAME = 250  # bytes; file systems take 255
_MAX_ID = 120
_WRITTEN_WITHIN_S = 1.0
"""Without hard links a claim is empty for a moment. If it stays empty, the process that made it has died."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


class Claim(msgspec.Struct, frozen=True):
    """The content of a claim: the run, and which of its sinks."""

    run_id: str
    sink: str


def claim_folder(store: Path, name: str, claim: Claim, holder: Callable[[Path], str | None]) -> Path:
    """Return the folder `store / name` or, if another run has it, one with the run's id in its name.

    The folder is made and claimed if necessary. `holder` returns the id of the run that a folder without a claim
    belongs to, if the store's own files tell it. Raises `OSError`, and `SinkMisconfiguredError` if all names are taken.
    """
    folders = [store / name for name in _names(name, claim)]
    for folder in folders:  # before a free name: the name of a deleted run may be free by now
        if _held_by(folder, holder) in (claim, claim.run_id):
            _put(folder, claim)
            return folder
    for folder in folders:
        if _held_by(folder, holder) is None:
            _put(folder, claim)
            if _held_by(folder, holder) == claim:
                return folder
    raise SinkMisconfiguredError(
        f"{', '.join(str(folder) for folder in folders)} belong to other runs: choose another folder for this sink"
    )


def _names(name: str, claim: Claim) -> Iterator[str]:
    run_id = shorten(escape(claim.run_id, r"A-Za-z0-9_.\-"), _MAX_ID)
    yield name
    for end in (f"-{run_id}", f"-{run_id}-{shorten(escape(claim.sink, r'A-Za-z0-9_.'), 40)}"):
        room = _MAX_FOLDER_NAME - len(end)
        yield name.encode(errors="ignore")[:room].decode(errors="ignore") + end


def _held_by(folder: Path, holder: Callable[[Path], str | None]) -> Claim | str | None:
    """Return the claim on a folder, or the id of the run that wrote its files; None if the folder is free."""
    deadline = time.monotonic() + _WRITTEN_WITHIN_S
    while True:
        try:
            content = (folder / CLAIM).read_bytes()
        except FileNotFoundError:
            return holder(folder)
        with contextlib.suppress(msgspec.DecodeError):
            return decode(content, Claim)
        if content or time.monotonic() > deadline:
            return holder(folder) or ""  # damaged: only the run whose files are there may use it
        time.sleep(0.01)


def _put(folder: Path, claim: Claim) -> None:
    """Make the claim file, unless there is one."""
    path = folder / CLAIM
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{CLAIM}.{uuid.uuid4().hex}.part"
    try:
        _write(part, claim)
        os.link(part, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS or not part.exists():
            raise
        with contextlib.suppress(FileExistsError):
            _write(path, claim)
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, claim: Claim) -> None:
    with open(path, "xb", opener=open_private) as file:
        file.write(msgspec.json.encode(claim))
        file.flush()
        os.fsync(file.fileno())
