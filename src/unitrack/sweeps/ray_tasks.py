"""Trials as tasks of a Ray cluster: the one that this process is in, one by its address, or one on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from unitrack.errors import ConfigError
from unitrack.sweeps.remote_calls import WorkerDiedError, require, resolve_future

_KEEP_CHILDREN = "RAY_kill_child_processes_on_worker_exit"
"""Ray's switch for what happens to the processes that a worker started, as couriers are, when it exits."""


class RayExecutor(Executor):
    """The workers of a Ray cluster. A call that its worker does not survive raises `WorkerDiedError`."""

    def __init__(self, ray: Any, *, owns_cluster: bool) -> None:
        """`owns_cluster`: whether to leave Ray at the end."""
        self._ray = ray
        self._owns_cluster = owns_cluster
        self._call = ray.remote(max_retries=0, num_cpus=1)(_call)  # Ray would repeat a trial, into one run

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in a worker."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        done = self._call.remote(fn, args, kwargs).future()
        done.add_done_callback(lambda done: resolve_future(future, lambda: self._result(done)))
        return future

    def _result(self, done: Future[Any]) -> Any:
        errors = self._ray.exceptions
        try:
            return done.result()
        except errors.RayTaskError as error:  # the function itself raised
            raise error.cause if isinstance(error.cause, BaseException) else error from None
        except errors.RayError as error:
            raise WorkerDiedError(f"the Ray worker died: {str(error).strip().partition(chr(10))[0]}") from error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster if it was joined here."""
        if self._owns_cluster:
            self._ray.shutdown()


def open_ray(size: int, address: str | None = None) -> RayExecutor:
    """Return the workers of the cluster at `address`, else of the one that this process is in, else of the one that
    the variable RAY_ADDRESS names, else of a new one of `size` processes on this machine.

    Raises `ConfigError` if no cluster answers at the address.
    """
    ray = require("ray", "ray", "ray")
    if ray.is_initialized() and address is None:
        return RayExecutor(ray, owns_cluster=False)
    if address := address or os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(address=address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"executor: no Ray cluster answers at {address}: {error}") from error
    else:
        os.environ.setdefault(_KEEP_CHILDREN, "0")  # couriers deliver what is left, and then leave by themselves
        ray.init(num_cpus=size, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    return RayExecutor(ray, owns_cluster=True)


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
