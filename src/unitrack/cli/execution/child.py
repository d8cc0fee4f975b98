"""The process of a command: its output is passed on and kept, and the signals that `unitrack exec` gets reach it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

_CHUNK_BYTES = 65_536
_QUIET_S = 1.0
"""Once the command has ended, how long its streams are read on without anything coming: a process that it has started
in the background may hold them open."""

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


class Child:
    """A command that runs. Where `unitrack exec` writes to a terminal, the command does too: colors and bars stay.

    Signals that this process gets from now on reach the command, and so does a change of the terminal's size.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], keep: Callable[[bytes], None]) -> None:
        """Start the command; `keep` gets what it prints. Raises `OSError` if it can't be started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []
        """Signals that came before the command was there."""
        self._streams = [_Stream(1, keep), _Stream(2, keep)]
        for number in _PASSED_ON:  # before the command can print anything: who reads that may send one at once
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGWINCH, self._resize)
        try:
            out, error = self._streams
            self._process = subprocess.Popen(command, env=dict(environ), stdout=out.given, stderr=error.given)
        except OSError:
            for stream in self._streams:
                stream.close()
            raise
        for stream in self._streams:
            stream.start()
        while self._waiting:
            self._send(self._waiting.pop(0))

    def wait(self, seconds: float) -> int | None:
        """Wait for the end of the command, and return its exit code, -9 for SIGKILL; None if it goes on."""
        assert self._process is not None
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for stream in self._streams:
            stream.finish()
        return code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and _has_terminal():
            return  # Ctrl-C: the terminal has sent it to the command as well
        self._send(number)

    def _resize(self, number: int, frame: FrameType | None) -> None:
        for stream in self._streams:
            stream.resize()
        self._send(number)

    def _send(self, number: int) -> None:
        if self._process is None:
            self._waiting.append(number)
            return
        with contextlib.suppress(OSError):
            self._process.send_signal(number)


class _Stream:
    """One output stream of the command: a pseudo-terminal if ours is a terminal, else a pipe."""

    def __init__(self, number: int, keep: Callable[[bytes], None]) -> None:
        self._number, self._keep = number, keep
        self._is_terminal = os.isatty(number)
        self._end, self.given = pty.openpty() if self._is_terminal else os.pipe()
        if self._is_terminal:
            _leave_line_ends(self.given)
        self.resize()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._copy, daemon=True)

    def start(self) -> None:
        """Begin to pass on what is printed. The command has its end; ours is closed, so that its end is noticed."""
        os.close(self.given)
        self._thread.start()

    def resize(self) -> None:
        """Give the pseudo-terminal the size of the terminal."""
        if self._is_terminal:
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(self._number, termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(self._end, termios.TIOCSWINSZ, size)

    def finish(self) -> None:
        """Wait until everything is passed on, or nothing came for a while."""
        self._heard = time.monotonic()
        while self._thread.is_alive() and time.monotonic() - self._heard < _QUIET_S:
            self._thread.join(0.05)

    def close(self) -> None:
        """Close both ends: the command was not started."""
        os.close(self._end)
        os.close(self.given)

    def _copy(self) -> None:
        try:
            while chunk := os.read(self._end, _CHUNK_BYTES):
                self._heard = time.monotonic()
                self._keep(chunk)
                _write(self._number, chunk)
        except OSError:
            pass  # the pseudo-terminal has ended; or nothing reads our output, and the command ends as in a pipe
        finally:
            os.close(self._end)


def _leave_line_ends(terminal: int) -> None:
    """Make a pseudo-terminal pass on line feeds as they are: the terminal behind it adds the carriage returns."""
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _write(descriptor: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


def _has_terminal() -> bool:
    """Return whether Ctrl-C in a terminal reaches this process and the command alike."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
