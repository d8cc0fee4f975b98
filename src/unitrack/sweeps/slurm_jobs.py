"""Trials as jobs of SLURM, or of another cluster that submitit knows."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from unitrack.errors import ConfigError
from unitrack.sweeps.remote_calls import WorkerDiedError, require, resolve_future

_LOOK_S = 0.2
"""How often it is looked whether a job has ended. submitit itself asks SLURM for all jobs together, and less often."""
_FOLDER = "submitit"


class JobExecutor(Executor):
    """Jobs of an executor of submitit. A call whose job is killed raises `WorkerDiedError`.

    submitit pickles the call into a folder that all nodes share, and its job writes the result there.
    """

    def __init__(self, executor: Any) -> None:
        """`executor`: submitit's, with its parameters: `submitit.AutoExecutor(folder)`."""
        self._executor = executor
        self._running: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a job that calls a function."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._running[future] = self._executor.submit(fn, *args, **kwargs)
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="unitrack-jobs", daemon=True)
                self._watcher.start()
        return future

    def _watch(self) -> None:
        """Resolve the futures of jobs that have ended, until none is left."""
        nap = threading.Event()
        while True:
            with self._lock:
                running = dict(self._running)
                if not running:
                    self._watcher = None
                    return
            for future, job in running.items():
                if job.done():
                    resolve_future(future, lambda job=job: _result(job))  # type: ignore[misc]
                    with self._lock:
                        del self._running[future]
            nap.wait(_LOOK_S)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the jobs that run; cancel them if asked to."""
        with self._lock:
            running, watcher = dict(self._running), self._watcher
        if cancel_futures:
            for job in running.values():
                job.cancel(check=False)
        if wait and watcher is not None:
            watcher.join()


def open_slurm() -> JobExecutor:
    """Return jobs of SLURM, with its defaults. Raises `ConfigError` on a machine without SLURM."""
    submitit = require("submitit", "slurm", "slurm")
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "executor='slurm': there is no `sbatch` here. Start the sweep on a login node, or pass an executor of "
            "submitit: submitit.AutoExecutor('submitit', cluster='local')"
        )
    return JobExecutor(submitit.AutoExecutor(folder=_FOLDER))


def _result(job: Any) -> Any:
    utils = require("submitit", "slurm", "slurm").core.utils
    try:
        return job.result()
    except utils.FailedJobError:  # the function raised: submitit has only the text of its traceback
        raise
    except utils.UncompletedJobError as error:
        raise WorkerDiedError(f"job {job.job_id} ended without a result: it was killed, or timed out") from error
