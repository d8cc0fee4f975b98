"""A sink in a plugin manager of its own, so that hook wrappers apply to it and no other sink gets its calls."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pluggy

from unitrack.errors import RecordRejectedError
from unitrack.hookspecs import Checkpoint, Link, RunContext, SinkSpec, hookimpl
from unitrack.names import leads_out
from unitrack.plugins.options import load_object
from unitrack.records import AnyRecord, Artifact, Metrics, Params, Record, RunStatus, Tags
from unitrack.runfolder.manifest import THINNING, LaneSpec
from unitrack.values.codec import convert
from unitrack.values.redaction import remember_secrets

_HOOKS: dict[type[Record], tuple[str, str]] = {
    Params: ("log_params", "params"),
    Metrics: ("log_metrics", "metrics"),
    Tags: ("set_tags", "tags"),
    Artifact: ("log_artifacts", "artifacts"),
}

_turns: dict[tuple[str, str], threading.Semaphore] = {}
"""By the sink's class and its store: who may be in a call at the same time. Never removed: there are few stores."""
_turns_lock = threading.Lock()


def _turn(spec: LaneSpec, store: str) -> contextlib.AbstractContextManager[object]:
    if spec.lanes_at_once is None:
        return contextlib.nullcontext()
    with _turns_lock:
        return _turns.setdefault((spec.sink, store), threading.Semaphore(spec.lanes_at_once))


class _Witness:
    """The innermost wrapper: it knows whether the sink itself has answered, whatever the wrappers around it do."""

    def __init__(self) -> None:
        self.answer: list[Any] = []

    def _listen(self) -> Generator[None, Any, Any]:
        answer = yield
        self.answer = [answer]
        return answer

    @hookimpl(wrapper=True)
    def log_params(self) -> Generator[None, Any, Any]:
        return (yield from self._listen())

    @hookimpl(wrapper=True)
    def log_metrics(self) -> Generator[None, Any, Any]:
        return (yield from self._listen())

    @hookimpl(wrapper=True)
    def set_tags(self) -> Generator[None, Any, Any]:
        return (yield from self._listen())

    @hookimpl(wrapper=True)
    def log_artifacts(self) -> Generator[None, Any, Any]:
        return (yield from self._listen())

    @hookimpl(wrapper=True)
    def flush(self) -> Generator[None, Any, Any]:
        return (yield from self._listen())

    @hookimpl(wrapper=True)
    def end_run(self) -> Generator[None, Any, Any]:
        return (yield from self._listen())


class SinkHandle:
    """Calls the hooks of one sink. Lets its errors through; see `hookspecs.SinkSpec` for what they mean.

    `wrappers` are objects with hook wrappers around it; the first one is the outermost. A call that is repeated since a
    wrapper failed after the sink had taken it does not reach the sink again. `turn` is held during each call.
    """

    def __init__(
        self,
        sink: object,
        wrappers: Sequence[object] = (),
        turn: contextlib.AbstractContextManager[object] | None = None,
    ) -> None:
        self._turn = turn or contextlib.nullcontext()
        self._witness = _Witness()
        self._run: RunContext | None = None
        self._answered: tuple[object, Any] | None = None
        """A call that the sink has answered and that failed all the same, with the answer."""
        self._manager = pluggy.PluginManager("unitrack")
        self._manager.add_hookspecs(SinkSpec)
        self._manager.register(sink)
        self._manager.register(self._witness)
        for wrapper in reversed(wrappers):  # pluggy calls the last one that was registered first
            self._manager.register(wrapper)
        self._manager.check_pending()

    @classmethod
    def load(cls, spec: LaneSpec, wrappers: Sequence[object] = ()) -> SinkHandle:
        """Import and make the sink that a lane is for, its middleware around it, and `wrappers` around that."""
        remember_secrets(spec.options)
        options = convert(spec.options, load_object(spec.options_type))
        middleware = [load_object(one.wrapper)(one.value) for one in spec.middleware if one.wrapper != THINNING]
        return cls(load_object(spec.sink)(options), (*wrappers, *middleware), _turn(spec, options.store()))

    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link | None:
        """See `SinkSpec.open_run`. The tags and the checkpoint are copies, which a wrapper may change in place."""
        start = msgspec.structs.replace(run.start, tags=dict(run.start.tags))
        run = msgspec.structs.replace(run, start=start)
        self._run = run
        checkpoint = copy.deepcopy(checkpoint)
        with self._turn:
            link: Link | None = self._manager.hook.open_run(run=run, checkpoint=checkpoint)
        return link

    def can_rewind(self) -> bool:
        """See `SinkSpec.can_rewind`."""
        with self._turn:
            return bool(self._manager.hook.can_rewind())

    def must_repeat(self) -> bool:
        """See `SinkSpec.must_repeat`."""
        with self._turn:
            return bool(self._manager.hook.must_repeat())

    def rewind(self, steps: Mapping[str, int]) -> None:
        """See `SinkSpec.rewind`."""
        with self._turn:
            self._manager.hook.rewind(steps=dict(steps))

    def require_safe_paths(self, records: Iterable[AnyRecord]) -> None:
        """Raise `RecordRejectedError` if an artifact's file or name leads out of its folder, as a stranger's may."""
        for record in records:
            if isinstance(record, Artifact) and self._run is not None:
                self._run.locate(record)
                if leads_out(record.name):
                    raise RecordRejectedError(
                        f"the artifact's name {record.name[:80]!r} leads out of the run's artifacts"
                    )

    def deliver(self, records: list[AnyRecord]) -> None:
        """Hand over records of one kind. The same call again is one with the same list."""
        hook, argument = _HOOKS[type(records[0])]
        self._call(hook, records, **{argument: list(records)})

    def flush(self) -> Checkpoint | None:
        """See `SinkSpec.flush`. The checkpoint is a copy, as JSON gives it back: the sink may go on with its own."""
        checkpoint: Checkpoint | None = msgspec.json.decode(msgspec.json.encode(self._call("flush", None)))
        return checkpoint

    def end_run(self, status: RunStatus, time: int) -> None:
        """See `SinkSpec.end_run`."""
        self._call("end_run", (status, time), status=status, time=time)

    def _call(self, hook: str, what: object, **arguments: Any) -> Any:
        answered, self._answered = self._answered, None
        if answered is not None and answered[0] == (hook, id(what) if isinstance(what, list) else what):
            return answered[1]
        self._witness.answer = []
        try:
            with self._turn:
                return getattr(self._manager.hook, hook)(**arguments)
        except BaseException:
            if self._witness.answer:
                self._answered = (hook, id(what) if isinstance(what, list) else what), self._witness.answer[0]
            raise

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
    """Whether an error is Ctrl-C, which Python raises in the main thread only, and no failure of a sink."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
