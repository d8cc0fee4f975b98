"""The current run, to which `unitrack.log_metrics` and the other module-level functions log.

Each thread and each asyncio task has its own: the last run it started that has not ended. A thread or task that started
none logs to the run that the process started last.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from unitrack.errors import InvalidTypeError, NoActiveRunError
from unitrack.run.run import Run
from unitrack.validation.messages import brief

if TYPE_CHECKING:
    from unitrack.run.experiment_tracker import ExperimentTracker

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class StartedRuns:
    """Runs in the order in which they were started, and the current one of the calling thread or task."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Run], None]] = []
        """Called with each run that `start_run` starts, by the thread that starts it."""
        self._here: ContextVar[tuple[Run, ...]] = ContextVar("started_here")
        self._anywhere: tuple[Run, ...] = ()
        self._lock = threading.Lock()

    def add(self, run: Run) -> None:
        """Make a run the current one of this thread or task."""
        self._here.set((*_open(self._here.get(())), run))
        with self._lock:
            self._anywhere = (*_open(self._anywhere), run)

    def tell(self, run: Run) -> None:
        """Tell the listeners of a run that was started."""
        for listener in self.listeners:
            listener(run)

    @property
    def current(self) -> Run | None:
        """The last open run of this thread or task; if it never started one, that of the process."""
        started = self._here.get(None)
        return next(
            (run for run in reversed(self._anywhere if started is None else started) if not run.has_ended), None
        )


def _open(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    return tuple(run for run in runs if not run.has_ended)


started = StartedRuns()
"""All runs of this process."""


def current_run() -> Run | None:
    """Return the run to which `unitrack.log_metrics` and the other module-level functions log; None without a run.

    It is the last run started by this thread or asyncio task that has not ended. A thread or task that started none
    gets the run that the process started last.
    """
    return started.current


def _require_run() -> Run:
    run = started.current
    if run is None:
        raise NoActiveRunError("no current run: call unitrack.start_run() first, or `with unitrack.start_run():`")
    return run


def _of_current_run(method: Callable[Concatenate[Run, _Arguments], _Result]) -> Callable[_Arguments, _Result]:
    """Return a function that calls the method of the current run."""

    @functools.wraps(method)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        result: _Result = getattr(_require_run(), method.__name__)(*args, **kwargs)
        return result

    _, *arguments = inspect.signature(method).parameters.values()
    call.__signature__ = inspect.signature(method).replace(parameters=arguments)  # type: ignore[attr-defined]
    call.__doc__ = f"Call `{method.__name__}` of the current run.\n\n{inspect.getdoc(method)}"
    return call


log = _of_current_run(Run.log)
log_metrics = _of_current_run(Run.log_metrics)
log_metric = _of_current_run(Run.log_metric)
log_params = _of_current_run(Run.log_params)
log_param = _of_current_run(Run.log_param)
set_tags = _of_current_run(Run.set_tags)
define_metric = _of_current_run(Run.define_metric)
alert = _of_current_run(Run.alert)
log_artifact = _of_current_run(Run.log_artifact)
log_artifacts = _of_current_run(Run.log_artifacts)
log_code = _of_current_run(Run.log_code)
log_dataset = _of_current_run(Run.log_dataset)
log_text = _of_current_run(Run.log_text)
log_dict = _of_current_run(Run.log_dict)
log_figure = _of_current_run(Run.log_figure)
log_image = _of_current_run(Run.log_image)
log_histogram = _of_current_run(Run.log_histogram)
log_table = _of_current_run(Run.log_table)
log_audio = _of_current_run(Run.log_audio)
log_video = _of_current_run(Run.log_video)
log_html = _of_current_run(Run.log_html)
log_checkpoint = _of_current_run(Run.log_checkpoint)
log_model = _of_current_run(Run.log_model)
log_hparams = _of_current_run(Run.log_hparams)
log_pr_curve = _of_current_run(Run.log_pr_curve)
log_embedding = _of_current_run(Run.log_embedding)
log_graph = _of_current_run(Run.log_graph)
watch = _of_current_run(Run.watch)
unwatch = _of_current_run(Run.unwatch)


def log_environment(tracker: ExperimentTracker | None = None) -> None:
    """Log the environment of this program in the tracker's active run, or in the current run.

    See `Run.log_environment`. A tracker of your own gets the params: Python, platform, git commit, and the versions of
    all installed packages. Raises `NoActiveRunError` without a run.
    """
    receiver = _require_run() if tracker is None else tracker
    if isinstance(receiver := getattr(receiver, "active_run", None) or receiver, Run):
        receiver.log_environment()
        return
    if not hasattr(receiver, "log_params"):
        raise InvalidTypeError(f"log_environment takes a tracker, got {type(tracker).__name__} {brief(tracker)}")
    from unitrack.environment.snapshot import capture_environment  # noqa: PLC0415  # subprocess costs 4 ms

    receiver.log_params(capture_environment())
