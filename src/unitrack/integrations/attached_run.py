"""The run that an integration logs to, and the rule that says who ends it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError, UnitrackError, warn_caller
from unitrack.names import nearest

if TYPE_CHECKING:
    from unitrack.records import EndStatus


class AttachedRun:
    """The run that an integration logs to.

    **The rule.** It is the run that the integration was given, or else the current run (`unitrack.current_run()`) when
    training begins, or else a run that is started from the configuration then. Only a run that was started here is
    ended here: as "finished" where the framework says that training has ended. Most frameworks say nothing when
    training raises. Such a run ends when the next training begins or the process exits, whichever is first: as
    "failed", or as "killed" after Ctrl-C. So does one that `leave` has kept open, as "finished".

    NaN and infinity are kept with a warning, unless the configuration sets `safeguards.non_finite`. On a rank that does
    not log, nothing is recorded. Pickled, it logs to the same run from another process, and does not end it there.
    """

    def __init__(self, framework: str | Sequence[str] | None, run: unitrack.Run | None = None, **start: Any) -> None:
        """`framework`: the package whose function trains, such as "keras", or the packages that call each other for it;
        None if the user's code trains: then the run ends with the process. `start`: arguments of `unitrack.start_run`,
        for a run of its own. Raises `InvalidTypeError` for a `run` that is none, and for arguments that it has not.
        """
        _check(run, start)
        self.owns = False
        """Whether the run was started here, and is ended here."""
        self.status_if_left: Callable[[], EndStatus] | None = None
        """Called for the status of a training that is over, and whose end was not reported. None: it has failed."""
        self._packages = (framework,) if isinstance(framework, str) else tuple(framework or ())
        self._given = run
        self._start = start
        self._run: unitrack.Run | None = None
        self._training: FrameType | None = None
        self._is_left = False

    @property
    def run(self) -> unitrack.Run:
        """The run. The first use of it begins, as `begin` does."""
        return self._run or self.begin()

    @property
    def has_begun(self) -> bool:
        """Whether there is a run that has not ended."""
        return self._run is not None and not self._run.has_ended

    def begin(self, params: Mapping[str, Any] | None = None) -> unitrack.Run:
        """Return the run, by the rule; start it if need be. Log `params` to it. Call it when training begins.

        Once begun, it only logs the params, until `finish`. Raises as `unitrack.start_run`. Params that a run refuses
        are left out, and named in a warning: a training need not fail for them.
        """
        with _lock:
            _end_left()
            if self._run is not None and self._run.has_ended:  # its owner, or the user, has ended it
                self.finish()
            if self._run is None:
                self._run = self._given or unitrack.current_run() or self._start_run()
                self._run.warn_of_non_finite()
            run = self._run
        if params is not None:
            log_params(run, params)
        return run

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log more params, as `begin` does."""
        log_params(self.run, params)

    def _start_run(self) -> unitrack.Run:
        run = unitrack.start_run(**self._start)
        self.owns = True
        self._training = _outermost_frame(self._packages)
        _open.append(self)
        _end_at_exit()
        return run

    def finish(self, status: EndStatus | None = "finished") -> None:
        """Let go of the run when training has ended, and end it if it was started here. Without a run, do nothing.

        `status`: None for that of the exception that is being handled, as in a `finally` block, or "finished".
        """
        run, self._run, self._training, self._is_left = self._run, None, None, False
        if self.owns and run is not None:
            self.owns = False
            with contextlib.suppress(ValueError):  # a child process has an empty list
                _open.remove(self)
            run.finish(_current_status() if status is None else status)

    def leave(self) -> None:
        """Let go of the run as `finish` does, but end it later: when the next training begins, or the process exits.

        For a framework that reports more of a training after its end, such as a test, and does not say when it is done.
        """
        self._is_left = self.owns
        if not self.owns:
            self.finish()

    def end_if_left(self, *, at_exit: bool = False) -> None:
        """End the run if it was started here, and its training is over without having ended it."""
        with contextlib.suppress(UnitrackError):  # the disk is full: the next training need not fail for it
            if self._is_left:
                self.finish()
            elif self._training is not None and (at_exit or not _is_running(self._training)):
                status = "failed" if self.status_if_left is None else self.status_if_left()
                self.finish("killed" if _was_interrupted(self._training) else status)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "owns": False, "_training": None, "status_if_left": None}


def _check(run: object, start: Mapping[str, Any]) -> None:
    """Raise for wrong arguments where they are given, not when training begins."""
    if run is not None and not isinstance(run, unitrack.Run):
        hint = f"; for its name, pass name={run!r}" if isinstance(run, str) else ""
        raise InvalidTypeError(f"run must be a unitrack.Run, got {type(run).__name__} {run!r}{hint}")
    known = inspect.signature(unitrack.start_run).parameters
    for name in start:
        if name not in known:
            similar = nearest(name, known)
            hint = f"; did you mean {similar!r}?" if similar else f": it takes {', '.join(known)}"
            raise InvalidTypeError(f"unitrack.start_run has no argument {name!r}{hint}")


@contextlib.contextmanager
def refusals_as_warnings(what: str) -> Iterator[None]:
    """Warn in place of an error if the run refuses what is logged, such as a model that is too large.

    A training does not fail for it. `what`: what is logged, for the message.
    """
    try:
        yield
    except (InvalidTypeError, InvalidValueError) as error:
        warn_caller(f"{what} was not logged: {error}")


_lock = threading.RLock()
"""Held while a run begins: threads of one training share its callback."""
_open: list[AttachedRun] = []
"""Those that have started a run that is open, in order."""


def _end_left(*, at_exit: bool = False) -> None:
    for attached in reversed(_open):
        attached.end_if_left(at_exit=at_exit)


def log_params(run: unitrack.Run, params: Mapping[str, Any]) -> None:
    """Log params; those that the run refuses are left out, and named in a warning."""
    try:
        run.log_params(params)
        return
    except (InvalidTypeError, InvalidValueError):
        refused: dict[str, str] = {}
    for path, value in _leaves(params):
        nested = value
        for name in reversed(path):
            nested = {name: nested}
        try:
            run.log_params(nested)
        except (InvalidTypeError, InvalidValueError) as error:
            refused[".".join(map(str, path))] = str(error)
    warn_caller(f"params that were not logged: {refused}")


def _leaves(params: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and value and len(path) < _MAX_DEPTH:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


_MAX_DEPTH = 20
"""Levels of params that are logged one by one; it stops one that contains itself."""


@functools.cache
def _end_at_exit() -> None:
    """Call `_end_left` at exit, once. After the first `start_run`, whose own handler is so called later."""
    atexit.register(_end_left, at_exit=True)


def _current_status() -> EndStatus:
    error = sys.exception()
    return "finished" if error is None else "killed" if isinstance(error, KeyboardInterrupt) else "failed"


def _outermost_frame(packages: Collection[str]) -> FrameType | None:
    """Return the frame of the framework's function that the user has called; None if there is none.

    It is looked for in the main thread first: frameworks start threads that live shorter than the training.
    """
    main = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001  # documented
    return _nearest_group(packages, main) or _nearest_group(packages, sys._getframe())  # noqa: SLF001  # documented


def _nearest_group(packages: Collection[str], innermost: FrameType | None) -> FrameType | None:
    """Return the outermost of those frames of the packages that are nearest to the end of the stack.

    The others belong to another training, which this one is a part of.
    """
    found = None
    for frame in _frames(innermost):
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            found = frame
        elif found is not None:
            break
    return found


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_running(frame: FrameType) -> bool:
    """Return whether a function has not returned, in any thread."""
    stacks = sys._current_frames()  # noqa: SLF001  # documented
    mine = stacks.pop(threading.get_ident(), None)
    return any(other is frame for stack in (mine, *stacks.values()) for other in _frames(stack))


def _was_interrupted(training: FrameType) -> bool:
    """Return whether Ctrl-C has ended a function, as far as the interpreter remembers its last exceptions."""
    for error in (sys.exception(), getattr(sys, "last_value", None)):
        traceback = error.__traceback__ if isinstance(error, KeyboardInterrupt) else None
        while traceback is not None:
            if traceback.tb_frame is training:
                return True
            traceback = traceback.tb_next
    return False
