"""The troubles that the probe's sink gets into: what a plugin, or the SDK below it, may do to the process it is in."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from unitrack.errors import ArtifactStoreError, RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError

LEAK_BYTES = 64 * 1024 * 1024
"""What one call leaks."""
FLOOD_BYTES = 8 * 1024 * 1024
"""What one call prints."""

_leaked: list[bytearray] = []


def make(kind: str, records: Iterable[Any] = ()) -> None:
    """Get into trouble. `records`: those that the hook was called with."""
    if kind == "corrupt":
        _corrupt(list(records))
    else:
        _TROUBLES[kind]()


def _raising(kind: type[BaseException], *arguments: object, **more: Any) -> Callable[[], None]:
    def trouble() -> None:
        raise kind(*arguments, **more)

    return trouble


def _leak() -> None:
    _leaked.append(bytearray(os.urandom(4096) * (LEAK_BYTES // 4096)))


def _flood() -> None:
    line = "E" * 1023 + "\n"
    for _ in range(FLOOD_BYTES // len(line)):
        sys.stderr.write(line)
    sys.stderr.flush()


def _keep_the_interpreter_lock() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def _start_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,), daemon=False).start()


def _segfault() -> None:
    print("about to touch what is not there", file=sys.stderr, flush=True)
    ctypes.string_at(0)


def _ignore_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _corrupt(records: list[Any]) -> None:
    """Change what was given in every way that Python lets us, then fail, so that it has to be given again."""
    for record in records:
        for name in ("metrics", "special", "params", "tags"):
            held = getattr(record, name, None)
            if isinstance(held, dict):
                held.clear()
                held["corrupted"] = -1.0
        with contextlib.suppress(AttributeError):
            record.seq = -1
    raise SinkUnavailableError("503 after making a mess")


_TROUBLES: dict[str, Callable[[], object]] = {
    "unavailable": _raising(SinkUnavailableError, "503 for the tests"),
    "retry_after": _raising(SinkUnavailableError, "429 for the tests", retry_after=3.0),
    "misconfigured": _raising(SinkMisconfiguredError, "401 for the tests"),
    "retry_soon": _raising(SinkUnavailableError, "429 for the tests", retry_after=0.2),
    "must_reopen": _raising(SinkUnavailableError, "503 for the tests", reopen=True),
    "no_artifact_store": _raising(ArtifactStoreError, "no place for files"),
    "rejected": _raising(RecordRejectedError, "400 for the tests"),
    "unexpected": _raising(KeyError, "a bug of the sink"),
    "memory_error": _raising(MemoryError, "no room"),
    "exit": _raising(SystemExit, 3),
    "interrupt": _raising(KeyboardInterrupt, "as if by hand"),
    "generator_exit": _raising(GeneratorExit, "closed"),
    "cancelled": _raising(asyncio.CancelledError, "by an event loop"),
    "die": lambda: os._exit(7),
    "segfault": _segfault,
    "abort": os.abort,
    "hang": lambda: time.sleep(3600),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "keep_lock": _keep_the_interpreter_lock,
    "leak": _leak,
    "flood": _flood,
    "thread": _start_a_thread,
    "chdir": lambda: os.chdir("/"),
    "signals": _ignore_signals,
    "close_files": lambda: os.closerange(3, 256),
    "close_stdio": lambda: os.closerange(0, 3),
}
