"""Checks of metrics: value, step, and which points of a log call are accepted."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from unitrack.errors import InvalidTypeError, InvalidValueError, UnitrackError, warn_caller
from unitrack.limits import MAX_STEP, Limits
from unitrack.validation.messages import brief, call_check
from unitrack.validation.names import check_name
from unitrack.validation.refusals import Refusals
from unitrack.values.device import DeviceScalar, is_on_device

if TYPE_CHECKING:
    from unitrack.config import Safeguards

Value = float | DeviceScalar
_Checked = TypeVar("_Checked")


def check_step(step: object) -> int:
    """Return a step as an int in 0 ... 2**63 - 1, from an int, a NumPy int or an integral float.

    Raises `InvalidTypeError` or `InvalidValueError` for anything else.
    """
    if isinstance(step, bool) or type(step).__name__ in ("bool_", "bool"):
        raise InvalidTypeError(f"step must be an integer, got the bool {brief(step)}")
    if isinstance(step, float) or (isinstance(step, numbers.Real) and not isinstance(step, numbers.Integral)):
        number = float(step)
        if not number.is_integer():
            raise InvalidValueError(f"step must be a whole number, got {number!r}; log the fraction as a metric")
        whole = int(number)
    else:
        try:
            whole = operator.index(step)  # type: ignore[arg-type]  # objects without __index__ are handled below
        except TypeError:
            raise InvalidTypeError(f"step must be an integer, got {type(step).__name__} {brief(step)}") from None
    if not 0 <= whole <= MAX_STEP:
        raise InvalidValueError(f"step {brief(whole)} is outside 0 ... 2**63 - 1")
    return whole


def to_float(name: str, value: Any) -> float:
    """Return a metric's value as float64, from a number, a NumPy scalar, a 0-d array or a tensor.

    Raises `InvalidTypeError` for anything that is not a single number: bools, strings, None, complex, arrays.
    """
    if isinstance(value, bool):
        raise InvalidTypeError(f"metric {name!r} must be numeric, got the bool {value!r}; log int({value!r})")
    if isinstance(value, str | bytes):
        raise InvalidTypeError(
            f"metric {name!r} must be numeric, got {type(value).__name__} {value!r}; convert it first"
        )
    _check_single(name, value)
    if not isinstance(value, numbers.Real) and hasattr(value, "item"):
        value = _item(name, value)
        if isinstance(value, bool):
            raise InvalidTypeError(f"metric {name!r} must be numeric, got an array of bool; convert it first")
    if isinstance(value, complex) or not hasattr(value, "__float__"):
        raise InvalidTypeError(f"metric {name!r} must be numeric, got {type(value).__name__} {brief(value)}")
    try:
        return float(value)
    except OverflowError:
        raise InvalidValueError(f"metric {name!r} is too large for a float64: {brief(value)}") from None
    except Exception as error:  # whatever the value's own `__float__` raises
        raise InvalidTypeError(f"metric {name!r} must be numeric, got {type(value).__name__}: {error}") from error


def _item(name: str, value: Any) -> Any:
    try:
        return value.item()
    except Exception as error:  # a tensor on torch's device "meta", for example
        raise InvalidTypeError(f"metric {name!r} has no value to read, got {type(value).__name__}: {error}") from error


def _check_single(name: str, value: Any) -> None:
    shape = getattr(value, "shape", ())
    if tuple(shape) != ():
        raise InvalidTypeError(
            f"metric {name!r} must be a single number, got {type(value).__name__} of shape {tuple(shape)}; "
            "reduce it (.mean()) or log a histogram"
        )


def validate_metric(name: str, value: Any) -> float:
    """Return a metric's value as float64, as `log_metrics` takes it.

    Raises `InvalidTypeError` (a `TypeError`) for anything that is not a single number, and `InvalidValueError` (a
    `ValueError`) for NaN, infinity, and names that can't be accepted.
    """
    check_name(name, "metric", Limits().max_name_length)
    number = to_float(name, value)
    if not math.isfinite(number):
        raise InvalidValueError(f"Metric {name} is NaN or Inf: {number!r}")
    return number


class MetricChecks:
    """The part of the chain that checks metrics.

    It remembers the number of points of each metric between calls.
    """

    def __init__(self, safeguards: Safeguards, checks: Sequence[Callable[[str, float, int], float]]) -> None:
        self.limits: Limits = safeguards
        self.points: dict[str, int] = {}
        """Points accepted so far, by metric. Names in here have been checked."""
        self.refusals = Refusals()
        self.has_metric_checks = bool(checks)
        self.is_non_finite_open = True
        """Whether the configuration leaves open what happens to NaN and infinity."""
        self._safeguards = safeguards
        self._non_finite = safeguards.non_finite
        self._metric_checks = checks
        self._warned: set[str] = set()

    def warn_of_non_finite(self) -> None:
        """Keep NaN and infinity with a warning from now on, unless the configuration says what happens to them."""
        if self.is_non_finite_open:
            self._non_finite = "warn"

    def metrics(self, metrics: Mapping[str, Any], step: int) -> tuple[dict[str, Value], UnitrackError | None]:
        """Return the points of a call that may be logged, and the error to raise after logging them.

        With `on_invalid: reject` (the default) a bad metric raises at once, so nothing of its call is logged. A scalar
        on a device is returned as a `DeviceScalar`; `read_metrics` checks it once it is read.
        """
        if not isinstance(metrics, Mapping):
            raise InvalidTypeError(f"log_metrics takes a mapping of names to numbers, got {type(metrics).__name__}")
        if len(metrics) > self.limits.max_metrics_per_call:
            raise InvalidValueError(
                f"{len(metrics)} metrics in one call, {self.limits.max_metrics_per_call} are allowed "
                "(safeguards.max_metrics_per_call); log an array as an artifact or a histogram"
            )
        return self._each(self._metric, metrics, step)

    def read_metrics(self, metrics: Mapping[str, Value], step: int) -> tuple[dict[str, float], UnitrackError | None]:
        """Return as `metrics` does for a call whose device scalars have been read: the second half of the checks."""
        return self._each(self._read_metric, metrics, step)

    def _each(
        self, check: Callable[[str, Any, int], _Checked | None], metrics: Mapping[str, Any], step: int
    ) -> tuple[dict[str, _Checked], UnitrackError | None]:
        accepted: dict[str, _Checked] = {}
        failure: UnitrackError | None = None
        for name, value in metrics.items():
            try:
                checked = check(name, value, step)
            except UnitrackError as error:
                self.refusals.add(name, step, str(error))
                if self._safeguards.on_invalid == "reject":
                    raise
                failure = failure or error
            else:
                if checked is not None:
                    accepted[name] = checked
        return accepted, failure

    def _metric(self, name: str, value: Any, step: int) -> Value | None:
        if name not in self.points:
            check_name(name, "metric", self.limits.max_name_length)
        if is_on_device(value):
            _check_single(name, value)
            return DeviceScalar(value)
        return self._number(name, value, step)

    def _read_metric(self, name: str, value: Value, step: int) -> float | None:
        return self._number(name, value.value(name), step) if isinstance(value, DeviceScalar) else value

    def _number(self, name: str, value: Any, step: int) -> float | None:
        number = to_float(name, value)
        for check in self._metric_checks:
            number = call_check(check, f"metric {name!r}", name, number, step)
        if not math.isfinite(number):
            policy = self._non_finite
            if policy == "drop":
                self.refusals.add(name, step, f"{number!r} was dropped (safeguards.non_finite)")
                return None
            if policy == "raise":
                raise InvalidValueError(
                    f"Metric {name!r} is NaN or Inf ({number!r} at step {step}); "
                    "set safeguards.non_finite to warn, drop or keep to go on"
                )
            if policy == "warn":
                self._warn_once(f"non-finite {name}", f"metric {name!r} is {number!r} at step {step}")
        if self.points.get(name, 0) >= self.limits.max_points_per_metric:
            message = (
                f"metric {name!r} has {self.limits.max_points_per_metric} points, which is all that "
                "safeguards.max_points_per_metric allows"
            )
            if self._safeguards.on_full_history == "raise":
                raise InvalidValueError(message)
            self.refusals.add(name, step, message)
            self._warn_once(f"full {name}", f"{message}; further points of it are dropped")
            return None
        return number

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warn_caller(message)
