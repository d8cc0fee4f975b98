"""The process that started a run, and whether it still runs: its pid may have been given to another one since."""

from __future__ import annotations

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

    @classmethod
    def current(cls, writer: str) -> Owner:
        """This process."""
        return cls(os.getpid(), process_start(os.getpid()) or 0.0, os.uname().nodename, writer)

    def is_here(self) -> bool:
        """Whether it is (or was) a process of this machine, so that `is_alive` can be told."""
        return self.host == os.uname().nodename

    def is_alive(self) -> bool:
        """Whether the process still runs. One of another machine counts as alive: nobody here can know better."""
        if not self.is_here():
            return True
        return process_start(self.pid) == self.created


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
