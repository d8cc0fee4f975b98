"""The checks between a log call and the journal: pure functions, and the chain that applies them.

They run once, before any fan-out, so every backend gets the same. The fast path of `Run.log_metrics` accepts what is
obviously right by itself and comes here for the rest.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from unitrack.device_scalars import DeviceScalar, is_on_device
from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError, UnitrackError
from unitrack.hookspecs import Validators
from unitrack.limits import MAX_PARAM_DEPTH, MAX_STEP, Limits
from unitrack.params import as_mapping, plain_text
from unitrack.records import flatten
from unitrack.redaction import redact
from unitrack.safe_files import leads_out
from unitrack.warning import warn_caller

if TYPE_CHECKING:
    from unitrack.config import Safeguards

Value = float | DeviceScalar
_Checked = TypeVar("_Checked")

MAX_FILE_NAME_BYTES = 240
"""ext4, XFS, APFS and NTFS take 255; the rest is for the names of temporary files beside it."""
MAX_PATH_BYTES = 2048
"""Linux takes 4096 in all, of which the run folder is a part."""


def check_name(name: object, kind: str, max_length: int) -> str:
    """The name of a metric, a param or a tag. Raises `InvalidTypeError` or `InvalidValueError`."""
    if not isinstance(name, str):
        raise InvalidTypeError(f"{kind} name {name!r} must be a string, got {type(name).__name__}")
    if not name:
        raise InvalidValueError(f"{kind} name is empty")
    if len(name) > max_length:
        raise InvalidValueError(
            f"{kind} name {name[:40]!r}... has {len(name)} characters, {max_length} are allowed "
            "(safeguards.max_name_length)"
        )
    if not name.isprintable() and any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in name):
        raise InvalidValueError(f"{kind} name {name!r} holds control characters or broken Unicode")
    return name


def check_step(step: object) -> int:
    """A step as int64: ints, NumPy ints and integral floats. Raises `InvalidTypeError` or `InvalidValueError`."""
    if isinstance(step, bool) or type(step).__name__ in ("bool_", "bool"):
        raise InvalidTypeError(f"step must be an integer, got the bool {step!r}")
    if isinstance(step, float) or (isinstance(step, numbers.Real) and not isinstance(step, numbers.Integral)):
        number = float(step)
        if not number.is_integer():
            raise InvalidValueError(f"step must be a whole number, got {number!r}; log the fraction as a metric")
        whole = int(number)
    else:
        try:
            whole = operator.index(step)  # type: ignore[arg-type]  # the except below is for what has no __index__
        except TypeError:
            raise InvalidTypeError(f"step must be an integer, got {type(step).__name__} {step!r}") from None
    if not 0 <= whole <= MAX_STEP:
        raise InvalidValueError(f"step {_brief(whole)} is outside 0 ... 2**63 - 1")
    return whole


def to_float(name: str, value: Any) -> float:
    """A metric's value as float64: numbers, NumPy scalars, 0-d arrays and tensors.

    Raises `InvalidTypeError` for what is no single number: bools, strings, None, complex, arrays.
    """
    if isinstance(value, bool):
        raise InvalidTypeError(f"metric {name!r} must be numeric, got the bool {value!r}; log int({value!r})")
    if isinstance(value, str | bytes):
        raise InvalidTypeError(
            f"metric {name!r} must be numeric, got {type(value).__name__} {value!r}; convert it first"
        )
    _check_single(name, value)
    if not isinstance(value, numbers.Real) and hasattr(value, "item"):
        value = value.item()
        if isinstance(value, bool):
            raise InvalidTypeError(f"metric {name!r} must be numeric, got an array of bool; convert it first")
    if isinstance(value, complex) or not hasattr(value, "__float__"):
        raise InvalidTypeError(f"metric {name!r} must be numeric, got {type(value).__name__} {_brief(value)}")
    try:
        return float(value)
    except OverflowError:
        raise InvalidValueError(f"metric {name!r} is too large for a float64: {_brief(value)}") from None
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"metric {name!r} must be numeric, got {type(value).__name__}: {error}") from None


def _check_single(name: str, value: Any) -> None:
    shape = getattr(value, "shape", ())
    if tuple(shape) != ():
        raise InvalidTypeError(
            f"metric {name!r} must be a single number, got {type(value).__name__} of shape {tuple(shape)}; "
            "reduce it (.mean()) or log a histogram"
        )


def _brief(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python writes out
        text = f"one of type {type(value).__name__} with thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_artifact_name(name: str) -> str:
    """Where an artifact belongs, as a relative POSIX path. Raises `InvalidValueError` for one that leaves the run."""
    posix = name.replace("\\", "/")
    path = PurePosixPath(posix)
    if leads_out(name) or posix[1:2] == ":":
        raise InvalidValueError(
            f"artifact path {name!r} must be relative and stay inside the run's artifacts (no '..', no leading '/')"
        )
    try:
        parts = [part.encode() for part in path.parts]
    except UnicodeEncodeError:
        raise InvalidValueError(f"artifact path {name!r} holds broken Unicode; give it another name") from None
    if max(map(len, parts), default=0) > MAX_FILE_NAME_BYTES or sum(map(len, parts)) > MAX_PATH_BYTES:
        raise InvalidValueError(
            f"artifact path {_brief(name)} is too long: {MAX_FILE_NAME_BYTES} bytes a part and {MAX_PATH_BYTES} in all "
            "is what file systems take"
        )
    return path.as_posix()


def check_source_file(path: Path, max_bytes: int) -> int:
    """The size in bytes of a file or folder to log.

    Raises `ArtifactNotFoundError` if it is missing, `InvalidValueError` if it is larger than `max_bytes`, holds a
    symbolic link that leads out of it, or is no regular file.
    """
    if not path.exists():
        raise ArtifactNotFoundError(f"Artifact not found: {path} (looked from {Path.cwd()})")
    if path.is_dir():
        size = sum(_member_size(member, path.resolve()) for member in path.rglob("*"))
    elif path.is_file():
        size = path.stat().st_size
    else:
        raise InvalidValueError(f"artifact {path} is neither a file nor a folder")
    if size > max_bytes:
        raise InvalidValueError(
            f"Artifact too large: {path} has {size / 2**20:.1f}MB, {max_bytes / 2**20:.1f}MB are allowed "
            "(safeguards.max_artifact_bytes)"
        )
    return size


def _member_size(member: Path, folder: Path) -> int:
    if member.is_symlink() and not member.resolve().is_relative_to(folder):
        raise InvalidValueError(
            f"artifact folder {folder} holds the symbolic link {member.name!r}, which leads out of it"
        )
    if member.is_dir():
        return 0
    if not member.is_file():
        raise InvalidValueError(f"artifact folder {folder} holds {member.name!r}, which is no regular file")
    return member.stat().st_size


def _is_deeper(value: Any, most: int) -> bool:
    """Whether dicts and lists are nested in more than `most` levels."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


class ValidationChain:
    """The built-in checks, then those of plugins, with the policies that the configuration sets.

    Holds what has to be remembered between calls: the number of points of each metric.
    """

    def __init__(self, safeguards: Safeguards, extra: Sequence[Validators] = ()) -> None:
        self.limits: Limits = safeguards
        self.points: dict[str, int] = {}
        """Points accepted so far, by metric. A name in here has been checked."""
        self._safeguards = safeguards
        self._metric_checks = [check for validators in extra for check in validators.metric]
        self._param_checks = [check for validators in extra for check in validators.param]
        self._artifact_checks = [check for validators in extra for check in validators.artifact]
        self.has_metric_checks = bool(self._metric_checks)
        self._warned: set[str] = set()

    def metrics(self, metrics: Mapping[str, Any], step: int) -> tuple[dict[str, Value], UnitrackError | None]:
        """The points of a call that may be logged, and the error to raise once they are.

        With `on_invalid: reject` (the default) a bad metric raises at once, so none of its call is logged. What lies
        on a device is held, and checked by `read_metrics` once it is read.
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
        """The second half of `metrics`, for a call whose device scalars are read."""
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
            number = _call_check(check, f"metric {name!r}", name, number, step)
        if not math.isfinite(number):
            policy = self._safeguards.non_finite
            if policy == "drop":
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
            self._warn_once(f"full {name}", f"{message}; further points of it are dropped")
            return None
        return number

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warn_caller(message)

    def params(self, params: Any) -> dict[str, Any]:
        """Params as plain JSON values, checked, without their secrets."""
        try:
            plain = as_mapping(params)
        except TypeError as error:
            raise InvalidTypeError(f"log_params: {error}") from None
        except RecursionError:
            raise InvalidValueError("log_params: the params are nested too deeply, or contain themselves") from None
        if _is_deeper(plain, MAX_PARAM_DEPTH):
            raise InvalidValueError(f"log_params: the params are nested more than {MAX_PARAM_DEPTH} levels deep")
        for name, value in flatten(plain).items():
            check_name(name, "param", self.limits.max_name_length)
            size = len(msgspec.json.encode(value)) if isinstance(value, str | list | dict) else 0
            if size > self.limits.max_param_bytes:
                raise InvalidValueError(
                    f"param {name!r} has {size} bytes, {self.limits.max_param_bytes} are allowed "
                    "(safeguards.max_param_bytes); log it as a file with log_text or log_dict"
                )
        if self._param_checks:
            plain = self._check_params(plain)
        redacted: dict[str, Any] = self.redacted(plain)
        return redacted

    def _check_params(self, params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        checked: dict[str, Any] = {}
        for name, value in params.items():
            if isinstance(value, Mapping) and value:
                checked[name] = self._check_params(value, f"{prefix}{name}.")
                continue
            for check in self._param_checks:
                value = _call_check(check, f"param {prefix + name!r}", prefix + name, value)
            checked[name] = value
        return as_mapping(checked)

    def tags(self, tags: Mapping[str, Any]) -> dict[str, str]:
        """Tags as strings, checked, without secrets."""
        if not isinstance(tags, Mapping):
            raise InvalidTypeError(f"tags must be a mapping of names to strings, got {type(tags).__name__}")
        checked = {
            check_name(name, "tag", self.limits.max_name_length): plain_text(value) for name, value in tags.items()
        }
        for name, text in checked.items():
            if len(text) > self.limits.max_param_bytes:
                raise InvalidValueError(
                    f"tag {name!r} has {len(text)} characters, {self.limits.max_param_bytes} are allowed "
                    "(safeguards.max_param_bytes); log it with log_text"
                )
        redacted: dict[str, str] = self.redacted(checked)
        return redacted

    def redacted(self, value: Any) -> Any:
        """A JSON-like value without secrets, as the configuration knows them."""
        return redact(value, "", self._safeguards.redact, self._safeguards.redact_patterns)

    def artifact(self, path: Path, name: str) -> tuple[str, int]:
        """The checked name of an artifact, and its size in bytes."""
        safe = check_artifact_name(name)
        size = check_source_file(path, self.limits.max_artifact_bytes)
        for check in self._artifact_checks:
            _call_check(check, f"artifact {safe!r}", path, safe)
        return safe, size


def _call_check(check: Any, subject: str, *arguments: Any) -> Any:
    """Call a plugin's validator; what it refuses is refused in our words, so that the message names the culprit."""
    try:
        return check(*arguments)
    except UnitrackError:
        raise
    except TypeError as error:
        raise InvalidTypeError(f"{subject}: {error}") from error
    except ValueError as error:
        raise InvalidValueError(f"{subject}: {error}") from error
