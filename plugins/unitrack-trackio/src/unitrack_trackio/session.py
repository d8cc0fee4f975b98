"""One session of trackio: a run is opened, written to and finished, and is then whole on the disk.

trackio writes in a thread of its own and only warns of what it could not write. Finishing a run waits for that thread;
whether the rows are there the sink asks the database.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, TypeVar

import trackio

from unitrack.errors import SinkMisconfiguredError

_T = TypeVar("_T")
_in_a_sink = ContextVar("_in_a_sink", default=False)
_REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def refuse_remote() -> None:
    """Raise `SinkMisconfiguredError` if the environment makes trackio log to a server, or to no database."""
    for variable in _REMOTE:
        if os.environ.get(variable):
            raise SinkMisconfiguredError(
                f"{variable} is set, and this sink writes local projects only: unset it, `trackio sync` them afterwards"
            )
    if os.environ.get("TRACKIO_STORAGE_MODE", "").strip().lower() == "jsonl":
        raise SinkMisconfiguredError("TRACKIO_STORAGE_MODE is jsonl, and this sink reads back the database: unset it")


def with_run(project: str, name: str, config: dict[str, Any], action: Callable[[trackio.Run], _T]) -> _T:
    """Open a run by its name, or make it, with this config; do something with it; finish it."""
    refuse_remote()
    # trackio finishes the current run of a context when it opens another one, and that may be the user's own
    return Context().run(_with_run, project, name, config, action)


def _with_run(project: str, name: str, config: dict[str, Any], action: Callable[[trackio.Run], _T]) -> _T:
    _in_a_sink.set(True)
    run = trackio.init(
        project, name, config=config, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False
    )
    try:
        return action(run)
    finally:
        run.finish()


def _print(*values: object, **how: Any) -> None:
    if not _in_a_sink.get():
        builtins.print(*values, **how)


# trackio greets at each `init` and `finish`. `redirect_stdout` would take what other threads print meanwhile, and of
# two sinks that overlap the second would leave its redirection behind.
for _module in ("trackio", "trackio.run", "trackio.utils"):
    vars(sys.modules[_module])["print"] = _print
