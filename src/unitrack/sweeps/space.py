"""The space of a sweep: which params a trial may have, nested, conditional, or made by a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.sweeps.params import (
    Choice,
    Constant,
    Param,
    Range,
    integers,
    labels_of,
    log_uniform,
    param_of,
    uniform,
)
from unitrack.validation.messages import brief

SpaceFunction = Callable[[Any], Mapping[str, Any] | None]
SpaceLike = Mapping[str, Any] | SpaceFunction


class Conditional(msgspec.Struct, frozen=True):
    """A choice that brings params of its own: only the chosen value's are drawn."""

    choice: Choice
    spaces: dict[Any, Space]
    """By label."""


class Space(msgspec.Struct, frozen=True):
    """Params by name. A nested space becomes a mapping in the params of a trial."""

    params: dict[str, Param | Conditional | Space]

    def suggest(self, trial: Any, prefix: str = "") -> dict[str, Any]:
        """Return the params for an Optuna trial, which knows a nested one as "outer.inner"."""
        values: dict[str, Any] = {}
        for name, param in self.params.items():
            full = prefix + name
            if isinstance(param, Space):
                values[name] = param.suggest(trial, f"{full}.")
            elif isinstance(param, Conditional):
                label = trial.suggest_categorical(full, param.choice.labels)
                values[name] = param.choice.value_of(label)
                values |= param.spaces[label].suggest(trial, prefix)
            else:
                values[name] = param.suggest(trial, full)
        return values

    def names(self) -> set[str]:
        """Return the names at its upper level that a trial may have, those of all conditions included."""
        found = set(self.params)
        for param in self.params.values():
            if isinstance(param, Conditional):
                found |= {name for space in param.spaces.values() for name in space.names()}
        return found

    def certain_names(self) -> set[str]:
        """Return the names at its upper level that each trial has."""
        found = set(self.params)
        for param in self.params.values():
            if isinstance(param, Conditional):
                found |= set.intersection(*(space.certain_names() for space in param.spaces.values()))
        return found

    def grid_size(self, prefix: str = "") -> int:
        """Return the number of combinations, without building them. Raises `ConfigError` for a range without a step."""
        return math.prod(self._size(f"{prefix}{name}", prefix, param) for name, param in self.params.items())

    def _size(self, full: str, prefix: str, param: Param | Conditional | Space) -> int:
        if isinstance(param, Space):
            return param.grid_size(f"{full}.")
        if isinstance(param, Conditional):
            return sum(space.grid_size(prefix) for space in param.spaces.values())
        return param.size(full)

    def grid(self, prefix: str = "") -> Iterator[dict[str, Any]]:
        """Yield all combinations, as Optuna stores them: the last param varies fastest.

        They are made one by one, so the first of 10^9 cost no more than the first of ten.
        """
        return _combined([self._column(f"{prefix}{name}", prefix, param) for name, param in self.params.items()])

    def _column(self, full: str, prefix: str, param: Param | Conditional | Space) -> _Column:
        if isinstance(param, Space):
            return lambda: param.grid(f"{full}.")
        if isinstance(param, Conditional):
            return lambda: (
                {full: label, **rest} for label, space in param.spaces.items() for rest in space.grid(prefix)
            )
        if isinstance(param, Constant):
            return lambda: [{}]
        return lambda: ({full: value} for value in param.grid(full))


_Column = Callable[[], Iterable[dict[str, Any]]]
"""Yields what one param contributes to each combination, from the start at each call."""


def _combined(columns: Sequence[_Column]) -> Iterator[dict[str, Any]]:
    """Yield each combination of the columns' entries: `itertools.product` would first build all columns."""
    if not columns:
        yield {}
        return
    for part in columns[0]():
        for rest in _combined(columns[1:]):
            yield {**part, **rest}


def choice(values: Sequence[Any] | Mapping[Any, Any]) -> Choice | Conditional:
    """Return a choice between values or, from a mapping, between values that bring params of their own.

    `choice({"adam": {"beta1": uniform(0.8, 0.99)}, "sgd": {"momentum": [0.0, 0.9]}})` draws `beta1` only with "adam".
    """
    if not isinstance(values, Mapping):
        return Choice(tuple(values), labels_of(values))
    labels = labels_of(values)
    spaces = {label: read_space(values[value] or {}) for label, value in zip(labels, values, strict=True)}
    return Conditional(Choice(tuple(values), labels), spaces)


def read_space(space: Mapping[str, Any]) -> Space:
    """Return a space as the user writes it. Raises `ConfigError`, which names the param."""
    if not isinstance(space, Mapping):
        raise ConfigError(f"the space must be a mapping of params, or a function of a trial, got {brief(space)}")
    params: dict[str, Param | Conditional | Space] = {}
    for name, written in space.items():
        if not isinstance(name, str) or not name:
            raise ConfigError(f"the space has a param named {brief(name)}: names are texts")
        try:
            params[name] = _read_param(written)
        except ConfigError as error:
            raise ConfigError(f"space: {name!r}: {error}") from None
    twice = [name for name in params if sum(name in one for one in _levels(params)) > 1]
    if twice:
        raise ConfigError(f"space: {twice[0]!r} is named at the upper level and in a condition as well")
    return Space(params)


def _levels(params: Mapping[str, Param | Conditional | Space]) -> list[set[str]]:
    """Return the names that each condition brings, and those of the upper level."""
    conditions = [param for param in params.values() if isinstance(param, Conditional)]
    return [set(params), *(set().union(*(space.names() for space in one.spaces.values())) for one in conditions)]


def _read_param(written: Any) -> Param | Conditional | Space:
    if isinstance(written, Range | Choice | Constant | Conditional | Space):
        return written
    if isinstance(written, Mapping):
        return read_space(written)
    if isinstance(written, tuple):
        return _read_tuple(written)
    if isinstance(written, range):
        return _read_range(written)
    if isinstance(written, list):
        return Choice(tuple(written), labels_of(written))
    if isinstance(written, set | frozenset):
        raise ConfigError(f"{brief(written)} has no order, and a sweep must be repeatable: give a list")
    if hasattr(written, "suggest") and hasattr(written, "size"):
        return written  # type: ignore[no-any-return]
    if _is_distribution(written):
        return param_of(written)
    if hasattr(written, "tolist") and getattr(written, "ndim", 0) == 1:
        return _read_param(written.tolist())
    return Constant(written)


def _read_tuple(written: tuple[Any, ...]) -> Range:
    """Read (low, high) or (low, high, "log"): integers if both bounds are."""
    *bounds, last = written if written[2:] == ("log",) else (*written, None)
    if len(bounds) != 2 or not all(isinstance(bound, Real) and not isinstance(bound, bool) for bound in bounds):
        raise ConfigError(f"{brief(written)} is no range (low, high) or (low, high, 'log'): for a choice, give a list")
    low, high = bounds
    if isinstance(low, int) and isinstance(high, int):
        return integers(low, high, log=last == "log")
    return log_uniform(low, high) if last == "log" else uniform(low, high)


def _read_range(written: range) -> Param:
    if not written or written.step < 0:
        raise ConfigError(f"{written!r} is empty, or goes down")
    return integers(written[0], written[-1], step=written.step)


def _is_distribution(written: Any) -> bool:
    return any(base.__name__ == "BaseDistribution" for base in type(written).__mro__)
