"""A control group with a limit on memory, below the one that we are in: what a container or a batch job is to Linux."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType

_ROOT = Path("/sys/fs/cgroup")
_EMPTY_WITHIN_S = 30.0


def can_limit_memory() -> bool:
    """Whether one can be made here: as root, with version 1; with version 2 where memory is handed down to us."""
    parent = _parent()
    if parent is None or not os.access(parent, os.W_OK):
        return False
    trial = parent / f"unitrack-trial-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    try:
        return _limit_file(trial).exists()
    finally:
        trial.rmdir()


def _parent() -> Path | None:
    """Our own group in the hierarchy that limits memory."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("memory", ""):
                folder = (_ROOT / "memory" if controllers else _ROOT) / path.lstrip("/")
                if folder.is_dir() and (controllers or (folder / "cgroup.controllers").exists()):
                    return folder
    return None


def _limit_file(group: Path) -> Path:
    first = group / "memory.limit_in_bytes"
    return first if first.exists() else group / "memory.max"


class MemoryGroup:
    """A group whose processes may use `limit` bytes together; the kernel kills the largest one for more."""

    def __init__(self, name: str, limit: int) -> None:
        parent = _parent()
        assert parent is not None, "ask can_limit_memory first"
        self.path = parent / name
        self._limit = limit

    @property
    def processes(self) -> Path:
        """The file to write a pid to."""
        return self.path / "cgroup.procs"

    def empty(self) -> None:
        """Wait until its last process has ended: couriers leave by themselves."""
        deadline = time.monotonic() + _EMPTY_WITHIN_S
        while self.processes.read_text():
            assert time.monotonic() < deadline, f"still in the group: {self.processes.read_text()!r}"
            time.sleep(0.05)

    def __enter__(self) -> MemoryGroup:
        self.path.mkdir()
        _limit_file(self.path).write_text(str(self._limit))
        for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with contextlib.suppress(OSError):  # where the kernel counts swap; without swap it makes no difference
                (self.path / swap).write_text("0" if swap == "memory.swap.max" else str(self._limit))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # a test that failed leaves processes in it
            self.path.rmdir()
