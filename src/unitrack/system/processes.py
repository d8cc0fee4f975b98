"""Processes: identifying one beyond its pid, which the system reuses, and checking whether it still runs."""

from __future__ import annotations

import functools
import os
import sys

import msgspec


class Owner(msgspec.Struct, frozen=True):
    """The process that started a run, so that others can tell whether it is alive."""

    pid: int
    created: float
    """The process's start time, since a pid alone is reused."""
    host: str
    writer: str
    """Its journal, whose `RunEnd` ends the run."""
    boot: str = ""
    """The id of its kernel's boot; empty if the system has none, and in runs of older versions."""
    pid_namespace: int = 0
    """The inode of its pid namespace, within which its pid is valid; 0 if the system has none."""

    @classmethod
    def current(cls, writer: str) -> Owner:
        """Return the current process as an owner; `writer` names its journal."""
        pid = os.getpid()
        return cls(pid, process_start(pid) or 0.0, os.uname().nodename, writer, boot_id(), pid_namespace())

    def is_near(self) -> bool:
        """Return whether its pid is valid here: in the same boot and pid namespace, or else the same host."""
        if self.boot and self.pid_namespace:
            return self.boot == boot_id() and self.pid_namespace == pid_namespace()
        return self.host == os.uname().nodename

    def is_alive(self) -> bool:
        """Return whether its process runs. True if it is not near; `RunFolder.life_of` is more precise."""
        return not self.is_near() or process_start(self.pid) == self.created


@functools.cache
def boot_id() -> str:
    """Return the kernel's id of this boot, the same in all its containers; empty if there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def pid_namespace() -> int:
    """Return the inode of this process's pid namespace; 0 if there is none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def process_start(pid: int) -> float | None:
    """Return the start time of a process, in a unit of the system; None if it does not run, or is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the command's name before it may hold spaces
    except FileNotFoundError:
        return None if sys.platform == "linux" else _process_start_without_proc(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in (b"Z", b"X") else float(fields[19])  # proc(5): state, and start time in clock ticks


def _process_start_without_proc(pid: int) -> float | None:
    import psutil  # noqa: PLC0415  # psutil costs 12 ms, and only systems without /proc need it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
