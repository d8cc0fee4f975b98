"""Detecting how the interpreter ends: by an uncaught exception, Ctrl-C, or `sys.exit` with an error.

`sys.excepthook` does not get `SystemExit`, and exit handlers can't see the exit code. So `sys.exit` raises a subclass
that checks the stack when it is freed: if no Python code runs in the main thread, nothing has caught it. A bare `raise
SystemExit(1)`, and a `sys.exit` that was imported by name before the first run, are not detected; both count as a
normal end.
"""

from __future__ import annotations

import functools
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unitrack.records import EndStatus


class ExitStatus:
    """The status for runs that are still open when the interpreter exits. Valid in exit handlers only."""

    def __init__(self) -> None:
        self.status: EndStatus = "finished"

    def watch(self) -> None:
        """Install the hooks. Call it once. Hooks that were installed before are still called."""
        previous_hook, previous_exit = sys.excepthook, sys.exit

        def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
            self.status = "killed" if issubclass(kind, KeyboardInterrupt) else "failed"
            previous_hook(kind, error, traceback)

        @functools.wraps(previous_exit)
        def leave(status: Any = None, /) -> None:
            try:
                previous_exit(status)
            except SystemExit as error:
                code = error.code
            else:
                return  # a test has replaced it by a function that returns
            raise _Exit(code, self)

        sys.excepthook = hook
        sys.exit = leave  # type: ignore[assignment]  # it returns only where the one before does


class _Exit(SystemExit):
    def __init__(self, code: Any, noted_in: ExitStatus) -> None:
        super().__init__(code)
        self._noted_in = noted_in

    def __del__(self) -> None:
        """Set the status if the exception is freed with no caller left: nothing has caught it."""
        frame = sys._getframe()  # noqa: SLF001  # the documented way to the caller's frame
        uncaught = frame.f_back is None and threading.current_thread() is threading.main_thread()
        if uncaught and not (self.code is None or (isinstance(self.code, int) and self.code == 0)):
            self._noted_in.status = "failed"
