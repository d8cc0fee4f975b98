"""The log of a courier: a file of bounded size with all that it and its backend print, and how to read its end."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from pathlib import Path

from unitrack import limits
from unitrack.values.redaction import redact_text

_CUT = b"[what was printed before this is cut off]\n"
_FATAL = "Fatal Python error"
_LINES = 4


def shorten(log: int) -> None:
    """Cut a log that has grown too long down to its end, in place: its writers append and go on.

    `log` is open for reading and appending. A pipe or a terminal stays as it is.
    """
    with contextlib.suppress(OSError):  # a full disk, or a sink that closed the descriptor
        status = os.fstat(log)
        if stat.S_ISREG(status.st_mode) and status.st_size > limits.COURIER_LOG_BYTES:
            kept = limits.COURIER_LOG_BYTES // 4
            end = os.pread(log, kept, status.st_size - kept)
            os.ftruncate(log, 0)
            os.write(log, _CUT + end)


def size(log: Path) -> int:
    """Return the length of a log in bytes; 0 if there is none."""
    with contextlib.suppress(OSError):
        return log.stat().st_size
    return 0


def cause_of_death(return_code: int, log: Path, begin: int) -> str:
    """Return, as a predicate, what a process died of, with the last that it printed after `begin` bytes of its log."""
    how = f"died of {_signal(-return_code)}" if return_code < 0 else f"died (exit code {return_code})"
    said = last_lines(log, begin)
    return f"{how}; see {log}" + (f"; it said: {said}" if said else "")


def last_lines(log: Path, begin: int) -> str:
    """Return the last lines of a log after `begin` bytes, joined; those of a fatal error of Python, if there is one."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(begin if begin <= end else 0, end - limits.COURIER_LOG_BYTES // 4))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = max((number for number, line in enumerate(lines) if line.startswith(_FATAL)), default=None)
    told = lines[-_LINES:] if fatal is None else lines[fatal : fatal + _LINES + 1]
    return redact_text(" | ".join(told))[:500]


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name} (by hand, or for want of memory)" if number == signal.SIGKILL else name
