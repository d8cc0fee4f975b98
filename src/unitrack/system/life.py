"""Whether the process that writes a journal still lives, as told across pid namespaces, containers and hosts.

Each writer keeps `<writer>.alive` beside its journal: who it is, a lock for as long as it lives, and a modification
time that its housekeeper renews. A pid counts only within its own boot and pid namespace; the lock counts within one
kernel, and elsewhere if it is held; the time counts where locks may not reach, as on NFS.
"""

from __future__ import annotations

import contextlib
import enum
import os
import time
from pathlib import Path

import msgspec

from unitrack.learned import learned
from unitrack.limits import BEAT_FRESH_S, BEAT_GONE_S
from unitrack.owner import Owner, boot_id, pid_namespace, process_start
from unitrack.safe_files import open_private
from unitrack.system.locks import FileLock, is_locked


class Life(enum.Enum):
    """What is known of a process."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


@learned
class Sign(msgspec.Struct, frozen=True):
    """The content of a `.alive` file."""

    owner: Owner
    locked: bool


class SignOfLife:
    """The `.alive` file of this process's journal, held until `close`."""

    def __init__(self, spool: Path, writer: str) -> None:
        self._path = sign_file(spool, writer)
        self._lock = FileLock(self._path)
        with contextlib.suppress(OSError):  # the file system has no locks, or can't be written: the time has to do
            self._lock.acquire(wait=True)
        sign = msgspec.json.encode(Sign(Owner.current(writer), self._lock.is_held))
        with contextlib.suppress(OSError):  # without it, the pid counts as before
            if self._lock.is_held:
                os.pwrite(self._lock.descriptor, sign, 0)
            else:
                with open(self._path, "wb", opener=open_private) as file:
                    file.write(sign)

    def beat(self) -> None:
        """Renew the time; the server's clock sets it on a network file system."""
        with contextlib.suppress(OSError):
            os.utime(self._lock.descriptor if self._lock.is_held else self._path)

    def close(self) -> None:
        """The journal is closed: nothing more will be written to it."""
        self._lock.release()


def sign_file(spool: Path, writer: str) -> Path:
    """Where the sign of life of a writer lies."""
    return spool / f"{writer}.alive"


def life_of(spool: Path, writer: str) -> Life | None:
    """Return what is known of the process behind a journal; None if it left no sign, as those of older versions."""
    try:
        descriptor = open_private(sign_file(spool, writer), os.O_RDONLY)
    except OSError:
        return None
    try:
        sign = msgspec.json.decode(os.read(descriptor, 65536), type=Sign)
        owner = sign.owner
        if owner.is_near() and process_start(owner.pid) != owner.created:
            return Life.GONE  # though a child of a foreign fork may hold a copy of the lock
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
    """Return the seconds since the last sign of life; None if there is none."""
    try:
        return max(0.0, _now(spool) - os.stat(sign_file(spool, writer)).st_mtime)
    except OSError:
        return None


def _now(spool: Path) -> float:
    """The time by the file system's own clock, in seconds; by this machine's where nothing can be written."""
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
