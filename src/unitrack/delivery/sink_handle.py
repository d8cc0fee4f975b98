"""A sink in a plugin manager of its own, so that hook wrappers apply to it and nothing else hears of it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pluggy

from unitrack.hookspecs import Checkpoint, Link, RunContext, SinkSpec
from unitrack.learned import learned
from unitrack.manifest import THINNING, LaneSpec
from unitrack.plugins import load_object
from unitrack.records import AnyRecord, Artifact, Metrics, Params, Record, RunStatus, Tags
from unitrack.redaction import remember_secrets

_HOOKS: dict[type[Record], tuple[str, str]] = {
    Params: ("log_params", "params"),
    Metrics: ("log_metrics", "metrics"),
    Tags: ("set_tags", "tags"),
    Artifact: ("log_artifacts", "artifacts"),
}


class SinkHandle:
    """Calls the hooks of one sink. Lets its errors through; see `hookspecs.SinkSpec` for what they mean.

    `wrappers` are objects with hook wrappers around it; the first one is the outermost.
    """

    def __init__(self, sink: object, wrappers: Sequence[object] = ()) -> None:
        self._manager = pluggy.PluginManager("unitrack")
        self._manager.add_hookspecs(SinkSpec)
        self._manager.register(sink)
        for wrapper in reversed(wrappers):  # pluggy calls the last one that was registered first
            self._manager.register(wrapper)
        self._manager.check_pending()

    @classmethod
    def load(cls, spec: LaneSpec) -> SinkHandle:
        """Import and make the sink that a lane is for, and what wraps it."""
        remember_secrets(spec.options)
        options = msgspec.convert(spec.options, learned(load_object(spec.options_type)))
        wrappers = [load_object(one.wrapper)(one.value) for one in spec.middleware if one.wrapper != THINNING]
        return cls(load_object(spec.sink)(options), wrappers)

    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link | None:
        """See `SinkSpec.open_run`. The tags and the checkpoint are copies, which a wrapper may change in place."""
        start = msgspec.structs.replace(run.start, tags=dict(run.start.tags))
        run = msgspec.structs.replace(run, start=start)
        checkpoint = copy.deepcopy(checkpoint)
        link: Link | None = self._manager.hook.open_run(run=run, checkpoint=checkpoint)
        return link

    def rewind(self, steps: Mapping[str, int]) -> Link | None:
        """See `SinkSpec.rewind`; None, too, if the sink does not implement it."""
        link: Link | None = self._manager.hook.rewind(steps=dict(steps))
        return link

    def deliver(self, records: list[AnyRecord]) -> None:
        """Hand over records of one kind."""
        hook, argument = _HOOKS[type(records[0])]
        getattr(self._manager.hook, hook)(**{argument: list(records)})

    def flush(self) -> Checkpoint | None:
        """See `SinkSpec.flush`. The checkpoint is a copy, as JSON gives it back: the sink may go on with its own."""
        checkpoint: Checkpoint | None = msgspec.json.decode(msgspec.json.encode(self._manager.hook.flush()))
        return checkpoint

    def end_run(self, status: RunStatus, time: int) -> None:
        """See `SinkSpec.end_run`."""
        self._manager.hook.end_run(status=status, time=time)

    def close(self) -> None:
        """See `SinkSpec.close`. What was confirmed is committed, so a sink that can't close cleanly loses nothing."""
        try:
            self._manager.hook.close()
        except BaseException as error:
            if is_interrupt(error):
                raise

    def hooks(self) -> Any:
        """The hooks themselves, for wrappers and tests."""
        return self._manager.hook


def is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl-C, which Python raises in the main thread only: no failure of a sink's."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
