"""Where the trials of an agent run: in this process, or in any executor of `concurrent.futures`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.thread import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from unitrack.errors import ConfigError
from unitrack.sweeps.outcome import TrialOutcome
from unitrack.sweeps.trial import TrialSpec, run_trial

ExecutorLike = Executor | str | Callable[[], Executor] | Any
"""An executor, a name, a function that makes one; a client of Dask, an executor of submitit."""


class Workers:
    """Runs trials, at most `size` at a time, and has a new executor made when one breaks."""

    def __init__(self, executor: ExecutorLike | None, size: int) -> None:
        """`executor`: one that is there, a name, a function that makes one; None for this process."""
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ConfigError(f"workers must be a number of trials that run at a time, at least 1, got {size!r}")
        if executor is None and size > 1:
            executor = "processes"
        self.size = size
        self._given = executor
        self._executor: Any = None
        self._owns = not isinstance(executor, Executor)

    @property
    def are_here(self) -> bool:
        """Whether trials run in this process, and can't be ended from outside."""
        return self._given in (None, "threads") or isinstance(self._given, ThreadPoolExecutor)

    def __enter__(self) -> Self:
        self._executor = self._make()
        return self

    def _make(self) -> Any:
        given = self._given
        if given is None:
            return _Here()
        from unitrack.sweeps.executors import open_executor  # noqa: PLC0415  # pools cost 20 ms

        if not hasattr(given, "submit") and callable(given):
            given = given()
        return open_executor(given, self.size)

    def submit(self, spec: TrialSpec) -> Future[TrialOutcome]:
        """Start a trial."""
        future: Future[TrialOutcome] = self._executor.submit(run_trial, spec)
        return future

    def renew(self) -> bool:
        """Make a new executor in place of one whose process died; return whether that can be done."""
        if not self._owns:
            return False
        self._executor.shutdown(wait=False)
        self._executor = self._make()
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._owns:
            self._executor.shutdown(wait=kind is None)  # loky's pools know no `cancel_futures`


class _Here(Executor):
    """Runs a trial in this thread, before `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
