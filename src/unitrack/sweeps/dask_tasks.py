"""Trials as tasks of a Dask cluster: one that is there, or one on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

from unitrack.errors import ConfigError
from unitrack.sweeps.remote_calls import WorkerDiedError, require, resolve_future


class DaskExecutor(Executor):
    """The workers of a Dask cluster. A call that its worker does not survive raises `WorkerDiedError`.

    Dask itself repeats a task whose worker died, up to three times, which would log a trial twice into one run. So a
    flag at the scheduler says that a task has begun, and the second time it fails.
    """

    def __init__(self, client: Any, cluster: Any = None, *, owns_client: bool = False) -> None:
        """`cluster`: one to close at the end, with the client if `owns_client`."""
        self._client = client
        self._cluster = cluster
        self._owns_client = owns_client
        self._tasks: dict[str, Any] = {}
        """Tasks that run, by their key: Dask drops one that nobody holds."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in a worker."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        key = f"unitrack-{os.urandom(8).hex()}"
        task = self._client.submit(_once, key, fn, args, kwargs, key=key, pure=False)
        self._tasks[key] = task
        task.add_done_callback(lambda task: self._take(key, task, future))
        return future

    def _take(self, key: str, task: Any, future: Future[Any]) -> None:
        resolve_future(future, lambda: _result(task))
        self._tasks.pop(key, None)
        _flag(key, self._client).clear()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close what was started here."""
        tasks = list(self._tasks.values())
        if cancel_futures:
            self._client.cancel(tasks)
        if wait and tasks:
            require("distributed", "dask", "dask").wait(tasks)
        if self._owns_client:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def open_dask(size: int) -> DaskExecutor:
    """Return the workers of a new cluster of `size` processes on this machine, without a dashboard."""
    distributed = require("distributed", "dask", "dask")
    cluster = distributed.LocalCluster(
        n_workers=size, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    )
    return DaskExecutor(distributed.Client(cluster), cluster, owns_client=True)


def connect(address: str) -> DaskExecutor:
    """Return the workers of the cluster of a scheduler. Raises `ConfigError` if none answers at the address."""
    distributed = require("distributed", "dask", address)
    try:
        return DaskExecutor(distributed.Client(address, timeout=10), owns_client=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"executor: no Dask scheduler answers at {address}: {error}") from error


def _flag(key: str, client: Any) -> Any:
    return require("distributed", "dask", "dask").Event(key, client=client)


def _once(key: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function in a worker, unless a worker has begun to."""
    distributed = require("distributed", "dask", "dask")
    begun = _flag(key, distributed.get_client())
    if begun.is_set():
        raise WorkerDiedError("the Dask worker died during the trial")
    begun.set()
    return fn(*args, **kwargs)


def _result(task: Any) -> Any:
    distributed = require("distributed", "dask", "dask")
    try:
        return task.result()
    except distributed.scheduler.KilledWorker as error:
        raise WorkerDiedError("the Dask worker died during the trial") from error
    except (CancelledError, distributed.client.FutureCancelledError) as error:
        raise WorkerDiedError(f"the Dask cluster has lost the trial: {error}") from error
