"""Whether the process that writes a journal is alive, decided across pid namespaces, containers and hosts.

Each writer keeps `<writer>.alive` beside its journal: its identity, a lock that it holds while it lives, and a
modification time that its housekeeper renews. A pid is compared only within the same boot and pid namespace. A held
lock always proves life; a free one proves the end only within the same kernel. The modification time decides where
locks may not work, as on NFS.
"""

from __future__ import annotations

import contextlib
import enum
import os
import time
from pathlib import Path

import msgspec

from unitrack.limits import BEAT_FRESH_S, BEAT_GONE_S
from unitrack.system.files import open_private
from unitrack.system.locks import FileLock, is_locked
from unitrack.system.processes import Owner, boot_id, pid_namespace, process_start
from unitrack.values.codec import decode


class Life(enum.Enum):
    """What is known about a process: it is alive, gone, or unknown."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


class Sign(msgspec.Struct, frozen=True):
    """The content of a `.alive` file."""

    owner: Owner
    locked: bool


class SignOfLife:
    """The `.alive` file of this process's journal, held until `close`."""

    def __init__(self, spool: Path, writer: str) -> None:
        self._path = sign_file(spool, writer)
        self._lock = FileLock(self._path)
        with contextlib.suppress(OSError):  # without locks the modification time decides
            self._lock.acquire(wait=True)
        sign = msgspec.json.encode(Sign(Owner.current(writer), self._lock.is_held))
        with contextlib.suppress(OSError):  # without the file, the pid decides
            if self._lock.is_held:
                os.pwrite(self._lock.descriptor, sign, 0)
            else:
                with open(self._path, "wb", opener=open_private) as file:
                    file.write(sign)

    def beat(self) -> None:
        """Renew the modification time. On a network file system the server's clock sets it."""
        with contextlib.suppress(OSError):
            os.utime(self._lock.descriptor if self._lock.is_held else self._path)

    def close(self) -> None:
        """Release the lock: the journal is closed."""
        self._lock.release()


def sign_file(spool: Path, writer: str) -> Path:
    """Return the path of a writer's `.alive` file."""
    return spool / f"{writer}.alive"


def life_of(spool: Path, writer: str) -> Life | None:
    """Return what is known about the writer of a journal; None if it has no `.alive` file, as in older versions."""
    try:
        descriptor = open_private(sign_file(spool, writer), os.O_RDONLY)
    except OSError:
        return None
    try:
        sign = decode(os.read(descriptor, 65536), Sign)
        owner = sign.owner
        if owner.is_near() and process_start(owner.pid) != owner.created:
            return Life.GONE  # a forked child of another program may still hold a copy of the lock
        with contextlib.suppress(OSError):
            if is_locked(descriptor):
                return Life.ALIVE
            if sign.locked and owner.boot and owner.boot == boot_id():
                return Life.GONE  # or it has closed its journal
        if owner.is_near():
            return Life.ALIVE
        age = _now(spool) - os.fstat(descriptor).st_mtime
    except (OSError, ValueError):
        return Life.UNKNOWN
    finally:
        os.close(descriptor)
    return Life.ALIVE if age <= BEAT_FRESH_S else Life.GONE if age > BEAT_GONE_S else Life.UNKNOWN


def last_beat(spool: Path, writer: str) -> float | None:
    """Return the seconds since the last sign of life; None if there was none."""
    try:
        return max(0.0, _now(spool) - os.stat(sign_file(spool, writer)).st_mtime)
    except OSError:
        return None


def _now(spool: Path) -> float:
    """Return the time of the file system's own clock, in seconds; this machine's time if nothing can be written."""
    probe = spool / f".clock.{os.urandom(4).hex()}.tmp"
    try:
        descriptor = open_private(probe, os.O_WRONLY | os.O_CREAT)
    except OSError:
        return time.time()
    try:
        os.utime(descriptor)
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(probe)


def ends_container() -> bool:
    """Return whether the end of this process most likely ends its container, and every other process in it.

    It is PID 1, or PID 1 of a pid namespace (a shell, tini) is its parent.
    """
    if os.getpid() == 1:
        return True
    return os.getppid() == 1 and pid_namespace() not in (0, _INITIAL_PID_NAMESPACE)


_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h."""
