"""The space of a sweep over a program, for Optuna: its own distributions where it has them, else quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.sweeps.definition import Definition, Parameter, nested
from unitrack.sweeps.distributions import Distribution, multiples
from unitrack.sweeps.params import Constant, Param, integers, log_uniform, uniform
from unitrack.sweeps.space import choice


class Quantile(msgspec.Struct, frozen=True):
    """A param of a distribution that Optuna does not have: the study holds its quantile."""

    distribution: Distribution

    def suggest(self, trial: Any, name: str) -> Any:
        """Return the value at the quantile that Optuna suggests."""
        return self.distribution.value_at(trial.suggest_float(name, 0.0, 1.0))

    def size(self, name: str) -> int:
        """Raise `ConfigError`: there are infinitely many."""
        return len(self.grid(name))

    def grid(self, name: str) -> Sequence[Any]:
        """Raise `ConfigError`."""
        raise ConfigError(f"{name!r} is {self.distribution.family}, which no grid can visit: give a list of values")


def space_of(definition: Definition) -> dict[str, Any]:
    """Return the space of a sweep, nested as its parameters are."""
    in_grid = definition.method == "grid"
    return nested(
        {one.path: _grid_param(one) if in_grid else _param(one.distribution) for one in definition.parameters}
    )


def _grid_param(parameter: Parameter) -> Any:
    values = parameter.distribution.grid()
    assert values is not None  # checked where the definition is read
    if parameter.distribution.family == "constant":
        return Constant(values[0])
    return values if isinstance(values, range) else list(values)


def _param(given: Distribution) -> Any:
    match given.family:
        case "constant":
            return Constant(given.values[0])
        case "categorical" if given.probabilities is None:
            return choice(given.values)
        case "int_uniform":
            return integers(int(given.low), int(given.high))
        case "uniform" if given.q is None:
            return uniform(given.low, given.high)
        case "uniform":
            return _steps(given)
        case "log_uniform" if given.q is None:
            return log_uniform(given.low, given.high)
    return Quantile(given)


def _steps(given: Distribution) -> Param:
    """Return the multiples of `q` within the bounds."""
    assert given.q is not None
    first, last = multiples(given.low, given.high, given.q)
    if isinstance(given.q, int):
        return integers(first * given.q, last * given.q, step=given.q)
    return Quantile(given)
