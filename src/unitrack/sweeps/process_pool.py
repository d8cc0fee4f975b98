"""Processes of this machine, on loky: each worker is a pool of its own.

A pool ends all its workers when one of them dies, with everything that they started. Here a trial that is killed takes
no other trial with it, and no courier of another one. loky pickles functions of scripts and notebooks, needs no
`if __name__ == "__main__"`, and does not fork, which would copy the threads' locks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any

from unitrack.sweeps.remote_calls import WorkerDiedError, require, resolve_future


class _Worker:
    """One process, started when it is first needed, and anew after its death."""

    def __init__(self) -> None:
        self._pool: Any = None

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        if self._pool is None:
            self._pool = require("loky", "sweeps", "processes").ProcessPoolExecutor(max_workers=1, timeout=None)
        try:
            future: Future[Any] = self._pool.submit(call)
        except BrokenExecutor:  # it died while it had nothing to do
            self.forget()
            return self.submit(call)
        return future

    def forget(self) -> None:
        self._pool = None

    def shutdown(self, *, wait: bool) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=wait)


class ProcessPool(Executor):
    """`size` processes. A call that its process does not survive raises `WorkerDiedError`."""

    def __init__(self, size: int) -> None:
        """Start nothing yet. Raises `MissingPackageError` without loky."""
        require("loky", "sweeps", "processes")
        self._idle = [_Worker() for _ in range(size)]
        self._workers = tuple(self._idle)
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.RLock()
        self._is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in the next process that is free."""
        future: Future[Any] = Future()
        with self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._waiting.append((future, partial(fn, *args, **kwargs)))
            self._start_waiting()
        return future

    def _start_waiting(self) -> None:
        while self._idle and self._waiting:
            future, call = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            worker = self._idle.pop()
            worker.submit(call).add_done_callback(lambda done, f=future, w=worker: self._take(done, f, w))  # type: ignore[misc]

    def _take(self, done: Future[Any], future: Future[Any], worker: _Worker) -> None:
        error = done.exception()
        with self._lock:
            if isinstance(error, BrokenExecutor):
                worker.forget()
            self._idle.append(worker)
            self._start_waiting()
        resolve_future(future, lambda: _result(done))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes once they have nothing to do."""
        with self._lock:
            self._is_shut = True
            if cancel_futures:
                for future, _ in self._waiting:
                    future.cancel()
                self._waiting.clear()
        for worker in self._workers:
            worker.shutdown(wait=wait)


def _result(done: Future[Any]) -> Any:
    try:
        return done.result()
    except BrokenExecutor as error:
        text = " ".join(str(error).split())[:300]
        raise WorkerDiedError(f"the worker process died: {text}") from error
