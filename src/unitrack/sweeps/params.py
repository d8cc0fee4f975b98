"""The kinds of params that a space has: ranges, choices and constants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Protocol

import msgspec

from unitrack.errors import ConfigError
from unitrack.validation.messages import brief

Number = int | float


class Param(Protocol):
    """One param of a space."""

    def suggest(self, trial: Any, name: str) -> Any:
        """Return the value for an Optuna trial."""

    def grid(self, name: str) -> Iterable[Any]:
        """Return the values of a grid, as Optuna stores them. Raises `ConfigError` if there are infinitely many."""

    def size(self, name: str) -> int:
        """Return the number of these values, without building them."""


class Constant(msgspec.Struct, frozen=True):
    """A param that is the same in all trials."""

    value: Any

    def suggest(self, trial: Any, name: str) -> Any:
        """Return the value."""
        return self.value

    def grid(self, name: str) -> Sequence[Any]:
        """Return nothing for Optuna to store."""
        return [None]

    def size(self, name: str) -> int:
        """Return 1."""
        return 1


class Range(msgspec.Struct, frozen=True):
    """Numbers from `low` to `high`, both included."""

    low: Number
    high: Number
    log: bool = False
    """Whether orders of magnitude are drawn evenly."""
    step: Number | None = None
    is_integer: bool = False

    def suggest(self, trial: Any, name: str) -> Any:
        """Return the number that Optuna suggests."""
        if self.is_integer:
            return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def size(self, name: str) -> int:
        """Return how many numbers there are. Raises `ConfigError` for a range without a step."""
        step = self.step or (1 if self.is_integer else None)
        if step is None:
            raise ConfigError(
                f"{name!r} is a range of {self.low:g} ... {self.high:g}, which no grid can visit: give a list of "
                f"values, a step (`uniform({self.low:g}, {self.high:g}, step=...)`), or another strategy"
            )
        return math.floor((self.high - self.low) / step + 1e-9) + 1

    def grid(self, name: str) -> Iterable[Any]:
        """Return its numbers, made one by one: there may be more than fit into memory."""
        count, step = self.size(name), self.step or 1
        if self.is_integer:
            return range(int(self.low), int(self.low) + count * int(step), int(step))
        return (float(self.low + index * step) for index in range(count))


class Choice(msgspec.Struct, frozen=True):
    """One of several values. Optuna stores None, booleans, numbers and texts as they are, others by a label."""

    values: tuple[Any, ...]
    labels: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        """Return the value that Optuna suggests."""
        return self.value_of(trial.suggest_categorical(name, self.labels))

    def value_of(self, label: Any) -> Any:
        """Return the value of a label."""
        return self.values[_index(self.labels, label)]

    def size(self, name: str) -> int:
        """Return the number of values."""
        return len(self.values)

    def grid(self, name: str) -> Sequence[Any]:
        """Return the labels."""
        return self.labels


def param_of(distribution: Any) -> Range | Choice:
    """Return the param that a distribution of Optuna describes."""
    if hasattr(distribution, "choices"):
        return Choice(distribution.choices, distribution.choices)
    is_integer = isinstance(distribution.low, int)
    return Range(distribution.low, distribution.high, distribution.log, distribution.step, is_integer)


def uniform(low: float, high: float, *, step: float | None = None) -> Range:
    """Return the floats from `low` to `high`, both included; with `step` only those at multiples of it from `low`."""
    return _range("uniform", low, high, log=False, step=step, is_integer=False)


def log_uniform(low: float, high: float) -> Range:
    """Return the floats from `low` to `high`, drawn evenly in their logarithm: for learning rates and the like."""
    return _range("log_uniform", low, high, log=True, step=None, is_integer=False)


def integers(low: int, high: int, *, step: int | None = None, log: bool = False) -> Range:
    """Return the integers from `low` to `high`, both included; with `log` drawn evenly in their logarithm."""
    return _range("integers", low, high, log=log, step=step, is_integer=True)


def _range(called: str, low: Any, high: Any, *, log: bool, step: Any, is_integer: bool) -> Range:
    wanted = int if is_integer else Real
    for bound in (low, high) if step is None else (low, high, step):
        if isinstance(bound, bool) or not isinstance(bound, wanted) or not math.isfinite(bound):
            kind = "an integer" if is_integer else "a finite number"
            raise ConfigError(f"{called}({low!r}, {high!r}): {bound!r} is not {kind}")
    if low > high:
        raise ConfigError(f"{called}({low!r}, {high!r}): the lower bound is above the upper one")
    if log and low <= 0:
        raise ConfigError(f"{called}({low!r}, {high!r}): a logarithmic range must begin above 0")
    if step is not None and step <= 0:
        raise ConfigError(f"{called}({low!r}, {high!r}, step={step!r}): the step must be above 0")
    if log and step not in (None, 1):
        raise ConfigError(f"{called}({low!r}, {high!r}, step={step!r}): a logarithmic range takes no step")
    convert = int if is_integer else float
    return Range(convert(low), convert(high), log, None if step is None else convert(step), is_integer)


def labels_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return what Optuna stores of the values of a choice. Raises `ConfigError` if there are none, or two are equal."""
    labels = tuple(_label(value, index) for index, value in enumerate(values))
    if not labels:
        raise ConfigError("a choice needs at least one value")
    for index, label in enumerate(labels):
        if _index(labels, label) != index:
            raise ConfigError(f"{brief(label)} is listed twice")
    return labels


def _index(labels: Sequence[Any], label: Any) -> int:
    """Return where a label stands. 1, 1.0 and True are different labels; NaN equals itself."""
    for index, known in enumerate(labels):
        if type(known) is type(label) and (known == label or (known != known and label != label)):
            return index
    for index, known in enumerate(labels):
        if known == label:
            return index
    raise ConfigError(f"{brief(label)} is not among the choices {brief(list(labels))}")


def _label(value: Any, index: int) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Real) and hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    if name := getattr(value, "__name__", None):
        return str(name)
    text = "" if isinstance(value, Mapping) and not value else brief(value)
    return f"choice {index}" if " at 0x" in text or not text else text
