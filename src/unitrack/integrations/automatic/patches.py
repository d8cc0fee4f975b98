"""Functions that are replaced while `unitrack.autolog()` is on, and what the replacements share."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

import unitrack
from unitrack.errors import warn_caller
from unitrack.integrations.attached_run import AttachedRun

is_inside = ContextVar("is_inside", default=False)
"""Whether the code that asks runs within a training that is logged already."""


class Options(msgspec.Struct, frozen=True):
    """The arguments of `unitrack.autolog`."""

    log_models: bool
    start: Mapping[str, Any]


class Patch:
    """An attribute of a class or module, replaced until `undo`."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """`make` gets what was there, and returns what replaces it."""
        self._owner, self._name = owner, name
        self._is_own = name in vars(owner)
        self._before = vars(owner).get(name)
        setattr(owner, name, make(getattr(owner, name)))

    def undo(self) -> None:
        """Put back what was there before."""
        if self._is_own:
            setattr(self._owner, self._name, self._before)
        else:
            delattr(self._owner, self._name)


@contextlib.contextmanager
def training(framework: str, options: Options) -> Iterator[unitrack.Run]:
    """Yield the run of a training, by the rule of `AttachedRun`. Its end is that of the block."""
    attached = AttachedRun(framework, **options.start)
    run = attached.begin()
    token = is_inside.set(True)
    try:
        yield run
    except BaseException as error:
        attached.finish("killed" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    finally:
        is_inside.reset(token)
    attached.finish()


@contextlib.contextmanager
def errors_as_warnings(what: str) -> Iterator[None]:
    """Warn in place of an error: a training does not fail for what is logged of it."""
    try:
        yield
    except Exception as error:  # whatever a model's own methods raise
        warn_caller(f"autolog: {what} was not logged: {type(error).__name__}: {error}")


def with_callback(function: Any, callback: Any, args: Any, kwargs: Any) -> inspect.BoundArguments:
    """Return the arguments of a call with a callback added, unless one of its class is among them."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    given = bound.arguments.get("callbacks")
    callbacks = [] if given is None else list(given) if isinstance(given, list | tuple | set) else [given]
    if not any(isinstance(one, type(callback)) for one in callbacks):
        bound.arguments["callbacks"] = [*callbacks, callback]
    return bound
