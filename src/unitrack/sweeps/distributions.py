"""Distributions of one parameter, as W&B's sweeps define them: each maps a quantile in 0 ... 1 to a value.

A study can hold a parameter of any distribution as its quantile, as W&B's own Bayesian search does.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from unitrack.errors import MissingPackageError

Family = Literal["constant", "categorical", "int_uniform", "uniform", "log_uniform", "normal", "log_normal", "beta"]
"""W&B's names for log-uniform distributions all mean `log_uniform` here, with bounds that are values, not exponents."""

_TAIL = 2.0**-53
"""The quantile nearest to 0 and 1 of a distribution without bounds: a normal one then stays within 8.2 sigma."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """What values a parameter takes, and how often."""

    family: Family
    values: tuple[Any, ...] = ()
    """Of a constant (one) or a categorical distribution."""
    probabilities: tuple[float, ...] | None = None
    """One for each value; None if all are equal."""
    low: int | float = 0.0
    high: int | float = 1.0
    """The bounds of a uniform or log-uniform distribution; the values never leave them, rounded or not."""
    mu: float = 0.0
    sigma: float = 1.0
    a: float = 1.0
    b: float = 1.0
    """Of a beta distribution."""
    q: int | float | None = None
    """Values are multiples of it: `round(x / q) * q`; integers if it is one."""

    def value_at(self, quantile: float) -> Any:
        """Return the value below which a draw lies with this probability; any value of the range at 0 and at 1."""
        match self.family:
            case "constant":
                return self.values[0]
            case "categorical":
                return self.values[self._position_at(quantile)]
            case "int_uniform":
                count = int(self.high) - int(self.low) + 1
                return int(self.low) + min(int(quantile * count), count - 1)
        value = self._real_at(quantile)
        return value if self.q is None else self._rounded(value)

    def grid(self) -> Sequence[Any] | None:
        """Return all values, in order, or None if they are not countable: a grid search takes them one by one.

        As in W&B, that are those of a constant, a categorical without probabilities, an integer and a rounded uniform
        one; the last one goes from `low` in steps of `q`, without `high`.
        """
        if self.family == "int_uniform":
            return range(int(self.low), int(self.high) + 1)
        if self.family == "uniform" and self.q is not None:
            return _Steps(self.low, self.q, self.grid_size() or 0)
        return self.values if self.family in ("constant", "categorical") and self.probabilities is None else None

    def grid_size(self) -> int | None:
        """Return the number of these values, however large, which `len` can't; None if they are not countable."""
        if self.family == "int_uniform":
            return int(self.high) - int(self.low) + 1
        if self.family == "uniform" and self.q is not None:
            return math.ceil((Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(self.q)))
        return None if (values := self.grid()) is None else len(values)

    def in_words(self) -> str:
        """Return the distribution as people write it."""
        match self.family:
            case "constant":
                return str(self.values[0])
            case "categorical":
                shares = self.probabilities or ("",) * len(self.values)
                return ", ".join(f"{value} ({share:.0%})" if share != "" else str(value) for value, share in zip(
                    self.values, shares, strict=True))  # fmt: skip
            case "int_uniform" | "uniform" | "log_uniform":
                text = f"{self.low:.6g} ... {self.high:.6g}"
            case "beta":
                text = f"beta with a={self.a:g}, b={self.b:g}"
            case _:
                text = f"{self.family.replace('_', '-')} with mu={self.mu:g}, sigma={self.sigma:g}"
        log = ", even in the logarithm" if self.family == "log_uniform" else ""
        kind = ", integers" if self.family == "int_uniform" else ""
        return f"{text}{kind}{log}{f', multiples of {self.q:g}' if self.q is not None else ''}"

    def _position_at(self, quantile: float) -> int:
        count = len(self.values)
        if self.probabilities is None:
            return min(int(quantile * count), count - 1)
        bounds = list(itertools.accumulate(self.probabilities))
        position = bisect.bisect_right(bounds, quantile * bounds[-1])
        last = max(index for index, share in enumerate(self.probabilities) if share > 0)
        return min(position, last)

    def _real_at(self, quantile: float) -> float:
        match self.family:
            case "uniform":
                return min(max(self.low + quantile * (self.high - self.low), self.low), self.high)
            case "log_uniform":
                low, high = math.log(self.low), math.log(self.high)
                return min(max(math.exp(low + quantile * (high - low)), self.low), self.high)
            case "beta":
                return _beta_quantile(quantile, self.a, self.b)
        normal = self._normal_at(min(max(quantile, _TAIL), 1 - _TAIL))
        return math.exp(normal) if self.family == "log_normal" else normal

    def _normal_at(self, quantile: float) -> float:
        from statistics import NormalDist  # noqa: PLC0415  # fractions and decimal cost 5 ms

        return NormalDist(self.mu, self.sigma).inv_cdf(quantile) if self.sigma else self.mu

    def _rounded(self, value: float) -> float:
        """Return the nearest multiple of `q` within the bounds."""
        assert self.q is not None
        count = round(value / self.q)
        if self.family in ("uniform", "log_uniform"):
            first, last = multiples(self.low, self.high, self.q)
            count = min(max(count, first), last)
        return _multiple(count, self.q)


class _Steps(Sequence[Any]):
    """`count` values from `start` on, `step` apart, made when asked for."""

    def __init__(self, start: float, step: float, count: int) -> None:
        self._start, self._step, self._count = start, step, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._count))]
        value = Decimal(str(self._start)) + range(self._count)[index] * Decimal(str(self._step))
        return int(value) if isinstance(self._start, int) and isinstance(self._step, int) else float(value)


def multiples(low: float, high: float, q: float) -> tuple[int, int]:
    """Return the first and the last n for which n * q lies in low ... high; the first is larger if there is none."""
    step = Decimal(str(q))
    return math.ceil(Decimal(str(low)) / step), math.floor(Decimal(str(high)) / step)


def _multiple(count: int, q: float) -> float:
    """Return `count * q`, without the error of binary fractions: 0.3, not 0.30000000000000004."""
    return count * q if isinstance(q, int) else float(count * Decimal(str(q)))


def _beta_quantile(quantile: float, a: float, b: float) -> float:
    try:
        from scipy.special import betaincinv  # noqa: PLC0415  # scipy costs 100 ms and is needed for this alone
    except ImportError:
        raise MissingPackageError("the distributions beta and q_beta need scipy: pip install scipy") from None
    return float(betaincinv(a, b, quantile))
