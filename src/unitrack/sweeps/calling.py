"""How a train function takes its params: by name or as one mapping, with the run or without."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.names import nearest

TrainFunction = Callable[..., Any]
_RUN = "run"


class Call(msgspec.Struct, frozen=True):
    """How a train function is called."""

    takes_run: bool = False
    """Whether its first argument is the trial's `Run`."""
    takes_mapping: bool = False
    """Whether it takes the params as one mapping."""
    takes_watch: bool = False
    """Whether it takes the run, the params as one mapping, and the `Reporter` for what others log to the run."""

    def __call__(self, function: TrainFunction, run: Any, params: Mapping[str, Any], watch: Any = None) -> Any:
        """Call the function with the params of a trial."""
        if self.takes_watch:
            return function(run, dict(params), watch)
        first = (run,) if self.takes_run else ()
        return function(*first, dict(params)) if self.takes_mapping else function(*first, **params)


def name_of(function: TrainFunction) -> str:
    """Return the name of a train function, for messages."""
    return getattr(function, "__name__", None) or type(function).__name__


def make_call(function: TrainFunction, names: Collection[str], certain: Collection[str]) -> Call:
    """Return how to call a train function with params of these names; `certain` are those that each trial has.

    Raises `ConfigError` if it takes one of them not, or requires others.
    """
    if not callable(function):
        raise ConfigError(f"a sweep needs a function that trains, got {type(function).__name__}")
    if isinstance(known := getattr(function, "call", None), Call):
        return known
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function of C without a signature
        return Call()
    taken = list(signature.parameters.values())
    takes_run = bool(taken) and taken[0].name == _RUN and _RUN not in names and _is_positional(taken[0])
    rest = taken[1:] if takes_run else taken
    if _takes_one_mapping(rest, names):
        return Call(takes_run, takes_mapping=True)
    _check_names(function, rest, names, certain)
    return Call(takes_run)


def check_keywords(function: TrainFunction, names: Collection[str]) -> None:
    """Raise `ConfigError` unless a function can be called with arguments of these names."""
    if not callable(function):
        raise ConfigError(f"a sweep needs a function that trains, got {type(function).__name__}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function of C without a signature
        return
    _check_names(function, list(signature.parameters.values()), names, names)


def _check_names(
    function: TrainFunction, rest: list[inspect.Parameter], names: Collection[str], certain: Collection[str]
) -> None:
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in rest):
        by_name = {one.name for one in rest if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        if strange := sorted(set(names) - by_name):
            raise ConfigError(_not_taken(function, strange[0], by_name))
    required = [one.name for one in rest if one.default is one.empty and _takes_one(one)]
    if lacking := [name for name in required if name not in certain]:
        hint = "" if lacking[0] not in names else " in each trial"
        raise ConfigError(
            f"{name_of(function)}() needs {lacking[0]!r}, which the space does not have{hint}: "
            f"add it, as a fixed value if it does not vary, or give the function a default"
        )


def _is_positional(one: inspect.Parameter) -> bool:
    return one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)


def _takes_one(one: inspect.Parameter) -> bool:
    return one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)


def _takes_one_mapping(rest: list[inspect.Parameter], names: Collection[str]) -> bool:
    """Return whether a function with one required argument of another name wants all params in it."""
    required = [one for one in rest if one.default is one.empty and _takes_one(one)]
    return (
        not any(one.kind is one.VAR_KEYWORD for one in rest)
        and bool(set(names) - {one.name for one in rest})
        and len(required) == 1
        and _is_positional(required[0])
        and required[0].name not in names
        and nearest(required[0].name, names) is None
        and not {one.name for one in rest} & set(names)
    )


def _not_taken(function: TrainFunction, strange: str, by_name: set[str]) -> str:
    meant = nearest(strange, by_name)
    guess = f"did you mean {meant!r}?" if meant else f"it takes {', '.join(sorted(by_name)) or 'nothing'}"
    return f"the space has {strange!r}, which {name_of(function)}() does not take: {guess}"
