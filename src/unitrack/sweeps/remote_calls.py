"""What the adapters of executors share: the package they need, the death of a worker, the futures they return."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from unitrack.errors import MissingPackageError


class WorkerDiedError(Exception):
    """The process that ran a call died: it was killed, ran out of memory, or its machine went away."""


def require(module: str, extra: str, name: str) -> Any:
    """Return a module. Raises `MissingPackageError` if it is not installed, for the executor that needs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        package = {"distributed": "dask"}.get(module, module)
        raise MissingPackageError(
            f"executor={name!r} needs the package {package!r}: run `pip install 'unitrack-core[{extra}]'`"
        ) from None


def resolve_future(future: Future[Any], outcome: Callable[[], Any]) -> None:
    """Give a future what `outcome` returns or raises."""
    if future.done():  # it was cancelled
        return
    try:
        found = outcome()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(found)
