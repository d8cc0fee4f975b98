"""The `parameters` of W&B's sweep YAML: what distribution each of them has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from unitrack.config.checking import shown
from unitrack.config.layers import KeyPath
from unitrack.names import nearest
from unitrack.sweeps.definition import Method, Parameter
from unitrack.sweeps.distributions import Distribution, Family, multiples
from unitrack.sweeps.wandb_keys import Keys, Problems, number_if_exponent

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")


class _Shape(msgspec.Struct, frozen=True):
    """What W&B calls a distribution: its family, its keys, and what its bounds mean."""

    family: Family
    keys: tuple[str, ...]
    required: tuple[str, ...] = ()
    bounds: str = "values"
    """What min and max are: "values", their logarithms ("exponents"), or those of 1/x ("inverse")."""


_BOUNDS = ("min", "max")
_SHAPES = {
    "constant": _Shape("constant", ("value",), ("value",)),
    "categorical": _Shape("categorical", ("values", "probabilities"), ("values",)),
    "categorical_w_probabilities": _Shape("categorical", ("values", "probabilities"), ("values", "probabilities")),
    "int_uniform": _Shape("int_uniform", _BOUNDS, _BOUNDS),
    "uniform": _Shape("uniform", _BOUNDS, _BOUNDS),
    "q_uniform": _Shape("uniform", (*_BOUNDS, "q"), _BOUNDS),
    "log_uniform": _Shape("log_uniform", _BOUNDS, _BOUNDS, "exponents"),
    "log_uniform_values": _Shape("log_uniform", _BOUNDS, _BOUNDS),
    "q_log_uniform": _Shape("log_uniform", (*_BOUNDS, "q"), _BOUNDS, "exponents"),
    "q_log_uniform_values": _Shape("log_uniform", (*_BOUNDS, "q"), _BOUNDS),
    "inv_log_uniform": _Shape("log_uniform", _BOUNDS, _BOUNDS, "inverse"),
    "inv_log_uniform_values": _Shape("log_uniform", _BOUNDS, _BOUNDS),
    "normal": _Shape("normal", ("mu", "sigma")),
    "q_normal": _Shape("normal", ("mu", "sigma", "q")),
    "log_normal": _Shape("log_normal", ("mu", "sigma")),
    "q_log_normal": _Shape("log_normal", ("mu", "sigma", "q")),
    "beta": _Shape("beta", ("a", "b")),
    "q_beta": _Shape("beta", ("a", "b", "q")),
}
_KEYS = ("value", "values", "distribution", "probabilities", "min", "max", "mu", "sigma", "q", "a", "b", "parameters")
_MAX_EXPONENT = 700.0
"""e to this is about 1e304, near the largest float."""


def read_parameters(given: object, method: Method, problems: Problems, notes: list[str]) -> tuple[Parameter, ...]:
    """Return the parameters, sorted by name as W&B sorts them; `problems` and `notes` get what is to be said."""
    if not isinstance(given, Mapping) or not given:
        got = "there are no `parameters`" if given is None else "`parameters` is no mapping of names, or is empty"
        problems.add(() if given is None else ("parameters",), f"{got}: what is searched?")
        return ()
    found = tuple(_Reader(method, problems, notes).read(given, ("parameters",), ()))
    names: dict[str, Parameter] = {}
    for one in found:
        if one.name in names:
            problems.add(("parameters",), f"two parameters are called {one.name!r}, one of them nested")
        names[one.name] = one
    return found


class _Reader:
    """Reads mappings of parameters, one within the other."""

    def __init__(self, method: Method, problems: Problems, notes: list[str]) -> None:
        self._method, self._problems, self._notes = method, problems, notes

    def read(self, given: Mapping[Any, Any], place: KeyPath, path: tuple[str, ...]) -> Iterator[Parameter]:
        """Yield the parameters of a mapping. `place`: in the file; `path`: the names of the parameters around it."""
        for name in sorted(given, key=str):
            value, here = given[name], (*place, str(name))
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                self._problems.add(
                    here, "a name has letters, digits, `_`, `.` and `-`, and begins with a letter or `_`"
                )
            elif not isinstance(value, Mapping) or not value:
                self._problems.add(here, f"expected value, values, or min and max, got {shown(name, value)}")
            elif "parameters" in value:
                yield from self._nested(value, here, (*path, name))
            elif (distribution := self._distribution(value, here)) is not None:
                yield Parameter((*path, name), distribution)

    def _nested(self, given: Mapping[Any, Any], place: KeyPath, path: tuple[str, ...]) -> Iterator[Parameter]:
        inside = given["parameters"]
        for other in given:
            if other != "parameters":
                self._problems.add((*place, str(other)), "a parameter with `parameters` inside has no other keys")
        if not isinstance(inside, Mapping) or not inside:
            self._problems.add((*place, "parameters"), "expected a mapping of parameters")
            return
        yield from self.read(inside, (*place, "parameters"), path)

    def _distribution(self, given: Mapping[Any, Any], place: KeyPath) -> Distribution | None:
        """Return the distribution of one parameter; None if there is a problem."""
        before = self._problems.count()
        keys = Keys(given, place, self._problems, _KEYS)
        name = _name_of(given, keys)
        if name is None:
            return None
        shape = _SHAPES[name]
        for key in given:
            if key in _KEYS and key not in ("distribution", *shape.keys):
                keys.problem(key, f"does not belong to {name}, which takes {', '.join(shape.keys)}")
        for key in shape.required:
            if key not in given:
                keys.problem(None, f"{name} needs `{key}`")
        if self._problems.count() > before:
            return None
        distribution = _made(name, shape, keys)
        if distribution is None or self._problems.count() > before:
            return None
        if self._method == "grid" and distribution.grid() is None:
            why = "has probabilities" if distribution.probabilities else f"is {name}"
            keys.problem(None, f"{why}, which a grid can't enumerate: list `values`, or use the method random or bayes")
            return None
        if shape.bounds == "exponents" and distribution.low > 1 and distribution.high <= math.e:
            inside = f"{distribution.low:.4g} ... {distribution.high:.4g}"
            self._notes.append(
                f"{place[-1]} is {name}, whose min and max are exponents: it lies in {inside}; for bounds that are "
                f"values use {name}_values"
            )
        return distribution


def _name_of(given: Mapping[Any, Any], keys: Keys) -> str | None:
    """Return W&B's name of the distribution; without `distribution` the other keys decide."""
    if "distribution" in given:
        name = given["distribution"]
        if name in _SHAPES:
            return str(name)
        similar = nearest(str(name), _SHAPES)
        hint = f'did you mean "{similar}"?' if similar else f"known: {', '.join(_SHAPES)}"
        keys.problem("distribution", f"unknown distribution {name!r}; {hint}")
        return None
    if "values" in given:
        return "categorical"
    if "value" in given:
        return "constant"
    if "min" in given or "max" in given:
        bounds = [number_if_exponent(given.get(key)) for key in _BOUNDS]
        return "int_uniform" if all(isinstance(one, int) for one in bounds) else "uniform"
    if not any(key not in _KEYS for key in given):
        keys.problem(None, "expected value, values, min and max, or a distribution")
    return None


def _made(name: str, shape: _Shape, keys: Keys) -> Distribution | None:
    match shape.family:
        case "constant":
            return Distribution(family="constant", values=(number_if_exponent(keys.values["value"]),))
        case "categorical":
            return _categorical(keys)
        case "int_uniform" | "uniform" | "log_uniform":
            return _bounded(name, shape, keys)
        case "beta":
            a, b = (_at_least_zero(keys, key, 1.0, open_at_zero=True) for key in ("a", "b"))
            return Distribution(family="beta", a=a, b=b, q=_q(shape, keys))
    mu = keys.number("mu")
    sigma = _at_least_zero(keys, "sigma", 1.0)
    return Distribution(family=shape.family, mu=0.0 if mu is None else mu, sigma=sigma, q=_q(shape, keys))


def _categorical(keys: Keys) -> Distribution | None:
    values, probabilities = keys.values["values"], keys.values.get("probabilities")
    if not isinstance(values, list) or not values:
        keys.problem("values", f"expected a list that is not empty, got {shown('values', values)}")
        return None
    if probabilities is not None:
        if not isinstance(probabilities, list) or len(probabilities) != len(values):
            count = len(probabilities) if isinstance(probabilities, list) else shown("", probabilities)
            keys.problem("probabilities", f"expected one for each of the {len(values)} values, got {count}")
            return None
        numbers = [number_if_exponent(one) for one in probabilities]
        if not all(isinstance(one, int | float) and not isinstance(one, bool) and one >= 0 for one in numbers):
            keys.problem("probabilities", "expected numbers that are not negative")
            return None
        if not math.isclose(total := math.fsum(numbers), 1.0, rel_tol=1e-5):
            keys.problem("probabilities", f"expected a sum of 1, got {total:g}")
            return None
        return Distribution(family="categorical", values=_numbers_in(values), probabilities=tuple(numbers))
    return Distribution(family="categorical", values=_numbers_in(values))


def _numbers_in(values: list[Any]) -> tuple[Any, ...]:
    return tuple(number_if_exponent(value) for value in values)


def _bounded(name: str, shape: _Shape, keys: Keys) -> Distribution | None:
    low, high = keys.number("min", required=True), keys.number("max", required=True)
    if low is None or high is None:
        return None
    if low >= high:
        keys.problem("min", f"expected min below max, got {low:g} and {high:g}")
        return None
    if shape.family == "int_uniform" and not (isinstance(low, int) and isinstance(high, int)):
        keys.problem("min", f"int_uniform needs integers, got {low!r} and {high!r}: write uniform for others")
        return None
    if shape.family == "log_uniform":
        if shape.bounds == "values" and low <= 0:
            keys.problem("min", f"expected a number above 0 for {name}, got {low:g}")
            return None
        if shape.bounds != "values" and max(abs(low), abs(high)) > _MAX_EXPONENT:
            keys.problem("max", f"{name} takes exponents: e to {low:g} ... {high:g}; use {name}_values for values")
            return None
        if shape.bounds == "exponents":
            low, high = math.exp(low), math.exp(high)
        elif shape.bounds == "inverse":
            low, high = math.exp(-high), math.exp(-low)
    q = _q(shape, keys)
    if q is not None:
        if shape.bounds != "values":
            low, high = _near_multiple(low, q), _near_multiple(high, q)
        first, last = multiples(low, high, q)
        if first > last:
            keys.problem("q", f"no multiple of {q:g} lies in {low:g} ... {high:g}")
            return None
    return Distribution(family=shape.family, low=low, high=high, q=q)


def _near_multiple(bound: float, q: float) -> float:
    """Return the multiple of `q` that a bound was meant to be: as an exponent, 32 is written 3.466."""
    multiple = round(bound / q) * q
    return multiple if math.isclose(bound, multiple, rel_tol=1e-3) else bound


def _q(shape: _Shape, keys: Keys) -> float | None:
    if "q" not in shape.keys:
        return None
    if "q" not in keys.values:
        return 1
    q = keys.number("q")
    if q is not None and q <= 0:
        keys.problem("q", f"expected a number above 0, got {q:g}")
        return None
    return q


def _at_least_zero(keys: Keys, key: str, default: float, *, open_at_zero: bool = False) -> float:
    number = keys.number(key)
    if number is not None and (number < 0 or (open_at_zero and number == 0)):
        keys.problem(key, f"expected a number {'above' if open_at_zero else 'not below'} 0, got {number:g}")
    return default if number is None else number
