"""Which agents of a sweep are alive: by a lock that the kernel frees, and on other machines by signs of life."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from unitrack.limits import AGENT_BEAT_S, AGENT_GONE_S
from unitrack.system.locks import FileLock, is_file_locked
from unitrack.system.processes import Owner


class Presence:
    """Tells other agents that this one is alive, from entering the block to leaving it, or to its process's end."""

    def __init__(self, folder: Path, *, beat: Callable[[], None] | None = None, other_folders: bool = False) -> None:
        """`folder`: that of the sweep. `beat` is called in a thread, to renew the signs of life of its trials.

        `other_folders`: whether agents on this machine may have others, since the study is in a database.
        """
        self._folder = folder / "agents"
        self.owner = Owner.current(os.urandom(4).hex())
        """This agent; `writer` is its id."""
        self._path = self._folder / f"{self.owner.writer}.lock"
        self._lock = FileLock(self._path)
        self._beat = beat
        self._left = threading.Event()
        self._other_folders = other_folders

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder.parent / "trials").mkdir(exist_ok=True)
        self._lock.acquire()
        if self._beat is not None:
            threading.Thread(target=self._keep_beating, args=(self._beat,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        self._path.unlink(missing_ok=True)
        self._lock.release()

    def _keep_beating(self, beat: Callable[[], None]) -> None:
        while not self._left.wait(AGENT_BEAT_S):
            with contextlib.suppress(Exception):  # the database may be away for a while; the next beat tries again
                beat()

    def is_alive(self, owner: Owner, last_beat: float | None) -> bool:
        """Return whether an agent is alive. `last_beat`: of its trial, in seconds since the epoch."""
        if owner == self.owner:
            return True
        path = self._folder / f"{owner.writer}.lock"
        if path.exists():
            return is_file_locked(path)
        if owner.is_near() and not (self._other_folders and owner.is_alive()):
            return False
        return last_beat is not None and time.time() - last_beat < AGENT_GONE_S
