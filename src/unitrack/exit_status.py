"""How the interpreter ends, as far as it tells: by an uncaught exception, Ctrl-C, or `sys.exit` with an error.

`SystemExit` passes `sys.excepthook` by, and at exit nothing says with which code. So `sys.exit` raises a subclass that
looks around when it is freed: if no Python code runs in the main thread then, nobody has caught it. What is missed is a
bare `raise SystemExit(1)`, and a `sys.exit` that was imported by its name before the first run; both count as a normal
end, as everything else that is not known to have failed.
"""

from __future__ import annotations

import functools
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unitrack.records import EndStatus

_status: EndStatus = "finished"


def at_exit() -> EndStatus:
    """The status of runs that nobody has ended. Only for exit handlers: the interpreter is at its end then."""
    return _status


def watch() -> None:
    """Begin to look. Call it once. Who has put hooks of their own there before is still called."""
    previous_hook, previous_exit = sys.excepthook, sys.exit

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        _note("killed" if issubclass(kind, KeyboardInterrupt) else "failed")
        previous_hook(kind, error, traceback)

    @functools.wraps(previous_exit)
    def leave(status: Any = None, /) -> None:
        try:
            previous_exit(status)
        except SystemExit as error:
            code = error.code
        else:
            return  # somebody's stand-in, which only notes it
        raise _Exit(code)

    sys.excepthook = hook
    sys.exit = leave  # type: ignore[assignment]  # it returns only where the one before does


class _Exit(SystemExit):
    def __del__(self) -> None:
        """Freed with no caller means: it has left the last frame."""
        uncaught = sys._getframe().f_back is None and threading.current_thread() is threading.main_thread()
        if uncaught and not (self.code is None or (isinstance(self.code, int) and self.code == 0)):
            _note("failed")


def _note(status: EndStatus) -> None:
    global _status
    _status = status
