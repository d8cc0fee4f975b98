"""Places in the code at which a process can die: each line of delivery and of the sink, each change of a file beside.

Nothing of it is in the product: lines are found by tracing, changes of files by Python's audit events.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import unitrack.delivery
from unitrack.plugins.options import load_object
from unitrack.runfolder import manifest, run_folder
from unitrack.runfolder.manifest import LaneSpec
from unitrack.system import processes

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR


class Places:
    """Counts the places that this process gets to, and kills it at one of them."""

    def __init__(self, lane: LaneSpec, die_at: tuple[str, int] | None) -> None:
        sink = sys.modules[load_object(lane.sink).__module__].__file__
        self._files = {str(file) for file in Path(unitrack.delivery.__path__[0]).rglob("*.py")}
        self._files |= {str(module.__file__) for module in (run_folder, manifest, processes)} | {str(sink)}
        self._die_at = die_at
        self._thread = threading.get_ident()
        self.reached: dict[str, int] = {}
        """How often each place was reached."""

    def watch(self) -> None:
        """From now on, until the process ends."""
        sys.addaudithook(self._on_event)
        sys.settrace(self._on_call)

    def _on_call(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        return self._on_line if frame.f_code.co_filename in self._files else None

    def _on_line(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        if event == "line":
            self._reach(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
        return self._on_line

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and (arguments[2] or 0) & _WRITING):
            return
        caller = sys._getframe(1).f_code.co_filename
        if caller not in self._files and threading.get_ident() == self._thread:
            self._reach(f"{event} in {os.path.basename(caller)}:{sys._getframe(1).f_lineno}")

    def _reach(self, place: str) -> None:
        self.reached[place] = count = self.reached.get(place, 0) + 1
        if self._die_at == (place, count):
            os.kill(os.getpid(), signal.SIGKILL)
