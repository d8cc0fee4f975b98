"""The process that started a run, and whether it still runs: its pid may have been given to another one since."""

from __future__ import annotations

import functools
import os
import sys

import msgspec

from unitrack.learned import learned


@learned
class Owner(msgspec.Struct, frozen=True):
    """The process that started a run, so that others can tell whether it is alive."""

    pid: int
    created: float
    """The process's start time: a pid alone is reused."""
    host: str
    writer: str
    """Its journal, whose `RunEnd` ends the run."""
    boot: str = ""
    """The boot of its kernel; empty where that is not told, and in runs of older versions."""
    pid_namespace: int = 0
    """The inode of its pid namespace: its pid means nothing in another one. 0 where that is not told."""

    @classmethod
    def current(cls, writer: str) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(pid, process_start(pid) or 0.0, os.uname().nodename, writer, boot_id(), pid_namespace())

    def is_near(self) -> bool:
        """Whether its pid means the same process here: the same boot and pid namespace, or else the same host."""
        if self.boot and self.pid_namespace:
            return self.boot == boot_id() and self.pid_namespace == pid_namespace()
        return self.host == os.uname().nodename

    def is_alive(self) -> bool:
        """Whether its pid still runs. One that is not near counts as alive; `RunFolder.life_of` knows better."""
        return not self.is_near() or process_start(self.pid) == self.created


@functools.cache
def boot_id() -> str:
    """The kernel's id of this boot, the same in all its containers; empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def pid_namespace() -> int:
    """The inode of this process's pid namespace; 0 where there is none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def process_start(pid: int) -> float | None:
    """When a process started, in a unit of the system's own; None if it does not run, a zombie included."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # what is before may hold spaces
    except FileNotFoundError:
        return None if sys.platform == "linux" else _process_start_elsewhere(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in (b"Z", b"X") else float(fields[19])  # proc(5): state, and start time in clock ticks


def _process_start_elsewhere(pid: int) -> float | None:
    import psutil  # costs half of what `start_run` may take, so only where there is no /proc

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
