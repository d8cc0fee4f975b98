"""The process of a trial's program: in a group of its own, which ends with the agent, whatever ends the agent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

_GUARD = """exec 3<&0 </dev/null
( (
  read -r _ <&3 && exit
  trap '' TERM
  kill -TERM 0
  left=20
  while [ $left -gt 0 ] && kill -0 $$; do sleep 0.5; left=$((left - 1)); done
  kill -KILL 0
) >/dev/null 2>&1 & )
exec "$@" 3<&-"""
"""Runs the program in place of the shell. A process beside it reads a pipe that the agent holds: when that ends without
a line, since the agent was killed, it ends the group: by SIGTERM, and ten seconds later by SIGKILL."""

_CHUNK_BYTES = 65_536
_LOOK_S = 0.1
"""How often a program that was told to end is looked at."""
_QUIET_S = 1.0
"""Once the program has ended, how long its output is read on without anything coming: a process that it has started in
the background may hold it open."""


class ProgramProcess:
    """A program that runs, without a terminal and without input. What it prints goes to `keep`."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], keep: Callable[[bytes], None]) -> None:
        """Start the program. Raises `OSError` if that fails."""
        guarded, self._guard = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", *command],
                env=dict(environ),
                stdin=guarded,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except BaseException:
            os.close(self._guard)
            raise
        finally:
            os.close(guarded)
        self._keep = keep
        self._heard = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, seconds: float) -> int | None:
        """Wait for the end of the program, and return its exit code, -9 for SIGKILL; None if it goes on."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace: float, at_once: threading.Event | None = None) -> None:
        """End the program and what it has started: by SIGTERM, and by SIGKILL once `grace` seconds have passed, or when
        `at_once` is set.
        """
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        try:
            while self.wait(_LOOK_S) is None:
                if time.monotonic() >= deadline or (at_once is not None and at_once.is_set()):
                    break
        finally:  # also when Ctrl-C comes once more
            if self._process.poll() is None:
                self._signal(signal.SIGKILL)
                self._process.wait()

    def close(self) -> None:
        """Wait until the output of a program that has ended is read, and let the process beside it go."""
        self._heard = time.monotonic()
        while self._reader.is_alive() and time.monotonic() - self._heard < _QUIET_S:
            self._reader.join(0.05)
        with contextlib.suppress(OSError):
            os.write(self._guard, b"\n")
        os.close(self._guard)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output, contextlib.suppress(OSError):
            while chunk := os.read(output.fileno(), _CHUNK_BYTES):
                self._heard = time.monotonic()
                self._keep(chunk)
