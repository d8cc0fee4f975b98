"""Executors by name, and adapters that make one of a Dask client or of an executor of submitit.

Where trials run is any `concurrent.futures.Executor`. Each of those here loses one trial when one of its workers dies,
and goes on with the others: the future of that trial raises `remote_calls.WorkerDiedError`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures.thread import ThreadPoolExecutor

from unitrack.errors import ConfigError
from unitrack.names import nearest

_ADDRESSES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")
"""How the address of a Dask scheduler begins."""


def open_executor(given: object, size: int) -> Executor:
    """Return the executor that `given` names or stands for, for `size` calls at a time.

    `given`: an executor, which is returned as it is; "processes", "threads", "dask", "ray" or "slurm"; the address of a
    Dask scheduler ("tcp://host:8786") or of a Ray cluster ("ray://host:10001"); a `distributed.Client`; or an executor
    of submitit. Shutting down what is returned ends only what was started here. Raises `ConfigError` for anything else,
    and `MissingPackageError`, which holds the command that installs it, for a package that is not there.
    """
    if isinstance(given, Executor):
        return given
    if isinstance(given, str):
        return _by_name(given, size)
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(given).__mro__}
    if "distributed.Client" in kinds:
        from unitrack.sweeps.dask_tasks import DaskExecutor  # noqa: PLC0415  # only where Dask is in use

        return DaskExecutor(given)
    if "submitit.Executor" in kinds:
        from unitrack.sweeps.slurm_jobs import JobExecutor  # noqa: PLC0415  # only where submitit is in use

        return JobExecutor(given)
    raise ConfigError(
        f"executor must be a concurrent.futures.Executor, a dask Client, an executor of submitit, or one of "
        f"{_names()}; got {type(given).__name__}"
    )


def _by_name(name: str, size: int) -> Executor:
    if name in _OPENERS:
        return _OPENERS[name](size)
    if name.startswith(_ADDRESSES):
        from unitrack.sweeps.dask_tasks import connect  # noqa: PLC0415  # only where Dask is in use

        return connect(name)
    if name.startswith("ray://"):
        from unitrack.sweeps.ray_tasks import open_ray  # noqa: PLC0415  # only where Ray is in use

        return open_ray(size, name)
    meant = nearest(name, _OPENERS)
    guess = f"did you mean {meant!r}?" if meant else f"there are {_names()}, and addresses of Dask and Ray"
    raise ConfigError(f"executor {name!r} is unknown: {guess}")


def _processes(size: int) -> Executor:
    from unitrack.sweeps.process_pool import ProcessPool  # noqa: PLC0415  # only where loky is in use

    return ProcessPool(size)


def _dask(size: int) -> Executor:
    from unitrack.sweeps.dask_tasks import open_dask  # noqa: PLC0415  # only where Dask is in use

    return open_dask(size)


def _ray(size: int) -> Executor:
    from unitrack.sweeps.ray_tasks import open_ray  # noqa: PLC0415  # only where Ray is in use

    return open_ray(size)


def _slurm(size: int) -> Executor:
    from unitrack.sweeps.slurm_jobs import open_slurm  # noqa: PLC0415  # only where submitit is in use

    return open_slurm()


_OPENERS: dict[str, Callable[[int], Executor]] = {
    "processes": _processes,
    "threads": ThreadPoolExecutor,
    "dask": _dask,
    "ray": _ray,
    "slurm": _slurm,
}


def _names() -> str:
    *first, last = map(repr, _OPENERS)
    return f"{', '.join(first)} and {last}"
