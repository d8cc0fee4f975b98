"""Parameters as the command line takes them: `lr=0.1,0.01`, `lr=1e-4..1e-1:log`, `units=32..256:32`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from unitrack.errors import ConfigError
from unitrack.sweeps.definition import Method, Parameter
from unitrack.sweeps.distributions import Distribution

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(\.[A-Za-z_][A-Za-z0-9_\-]*)*")
_RANGE = re.compile(r"(?P<low>[^.:]+(?:\.[^.:]+)?)\.\.(?P<high>[^:]+?)(?::(?P<how>.+))?")
_MAX_STEPS = 10_000
"""More values are a range that is searched, not a choice."""


def read_parameters(arguments: Sequence[str], method: Method) -> tuple[Parameter, ...]:
    """Return the parameters that arguments of `--grid`, `--random` or `--bayes` define.

    Raises `ConfigError`, which names the argument, for one without values, with a wrong range, or given twice.
    """
    found: dict[str, Parameter] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ConfigError(f"--{method} {argument!r} is not NAME=VALUES: write it as lr=0.1,0.01")
        if name in found:
            raise ConfigError(f"--{method} {argument!r}: {name!r} is given twice")
        distribution = _read(text.strip(), f"--{method} {argument!r}")
        if method == "grid" and distribution.grid() is None:
            raise ConfigError(
                f"--grid {argument!r}: a grid can't enumerate this range: list the values, or give a step (0..1:0.25)"
            )
        found[name] = Parameter(tuple(name.split(".")), distribution)
    for name in found:
        if inner := next((other for other in found if other.startswith(f"{name}.")), None):
            raise ConfigError(f"--{method}: {name!r} and {inner!r}: a parameter is either a value or has others inside")
    return tuple(found.values())


def _read(text: str, where: str) -> Distribution:
    if not text:
        raise ConfigError(f"{where}: there are no values after the equals sign")
    if text.startswith("["):
        return Distribution(family="categorical", values=_json_list(text, where))
    if (found := _RANGE.fullmatch(text)) and "," not in text:
        low, high = _number(found["low"]), _number(found["high"])
        if low is not None and high is not None:
            return _range(low, high, found["how"], where)
    values = tuple(value_of(part.strip()) for part in text.split(","))
    if any(value == "" for value in values):
        raise ConfigError(f'{where}: a value is empty; a text that is, or has commas, goes into a list: x=["","a,b"]')
    return Distribution(family="categorical", values=values)


def _json_list(text: str, where: str) -> tuple[Any, ...]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where}: expected a JSON list: {error}") from None
    if not values:
        raise ConfigError(f"{where}: the list is empty")
    return tuple(values)


def _range(low: float, high: float, how: str | None, where: str) -> Distribution:
    """Return the distribution of a range: integers if both bounds are, even in the logarithm, or with a step."""
    if low >= high:
        raise ConfigError(f"{where}: the lower bound must be below the upper one")
    are_integers = isinstance(low, int) and isinstance(high, int)
    if how is None:
        return Distribution(family="int_uniform" if are_integers else "uniform", low=low, high=high)
    if how == "log":
        if low <= 0:
            raise ConfigError(f"{where}: a logarithmic range begins above 0")
        return Distribution(family="log_uniform", low=low, high=high, q=1 if are_integers else None)
    step = _number(how)
    if step is None or step <= 0:
        raise ConfigError(f"{where}: expected LOW..HIGH, LOW..HIGH:log or LOW..HIGH:STEP, got {how!r} after the colon")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > _MAX_STEPS:
        raise ConfigError(f"{where}: {count:,} steps are too many for a choice: give a range without a step")
    steps = Distribution(family="uniform", low=low, high=low + count * step, q=step).grid()
    assert steps is not None
    return Distribution(family="categorical", values=tuple(steps[:count]))


def _number(text: str) -> float | None:
    """Return the number that a text is, an int if it is written as one; None for another text and for nan and inf."""
    value = value_of(text.strip())
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def value_of(text: str) -> Any:
    """Return what a text on the command line means: a number, true, false, null, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value
