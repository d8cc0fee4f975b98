"""The chain of all checks of a run: the built-in ones, then those of plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.hookspecs import Validators
from unitrack.limits import MAX_PARAM_DEPTH
from unitrack.records import flatten
from unitrack.validation.artifacts import check_artifact_name, check_source_file
from unitrack.validation.messages import call_check
from unitrack.validation.metrics import MetricChecks
from unitrack.validation.names import check_name
from unitrack.values.plain import as_mapping, plain_text
from unitrack.values.redaction import redact

if TYPE_CHECKING:
    from unitrack.config import Safeguards


class ValidationChain(MetricChecks):
    """The built-in checks, then those of plugins, with the policies that the configuration sets."""

    def __init__(self, safeguards: Safeguards, extra: Sequence[Validators] = (), stores: Sequence[str] = ()) -> None:
        """`stores`: globs of the stores of backends, which are left out of a logged folder."""
        super().__init__(safeguards, [check for validators in extra for check in validators.metric])
        self._param_checks = [check for validators in extra for check in validators.param]
        self.stores = tuple(stores)
        self._artifact_checks = [check for validators in extra for check in validators.artifact]

    def params(self, params: Any) -> dict[str, Any]:
        """Return params as plain JSON values, checked and with secrets redacted."""
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
                value = call_check(check, f"param {prefix + name!r}", prefix + name, value)
            checked[name] = value
        return as_mapping(checked)

    def tags(self, tags: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
        """Return tags as strings, checked and with secrets redacted."""
        if isinstance(tags, list | tuple):
            tags = dict.fromkeys((check_name(tag, "tag", self.limits.max_name_length) for tag in tags), "")
        if not isinstance(tags, Mapping):
            raise InvalidTypeError(
                f"tags must be a mapping of names to strings, or a list of names, got {type(tags).__name__}"
            )
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

    def redacted(self, value: Any, key: str = "") -> Any:
        """Return a JSON-like value with secrets redacted as the configuration says; `key`: the name it stands under."""
        return redact(value, key, self._safeguards.redact, self._safeguards.redact_patterns)

    def artifact(self, path: Path, name: str) -> tuple[str, int]:
        """Return the checked name of an artifact and its size in bytes."""
        safe = check_artifact_name(name)
        size = check_source_file(path, self.limits.max_artifact_bytes, self.stores)
        for check in self._artifact_checks:
            call_check(check, f"artifact {safe!r}", path, safe)
        return safe, size


def _is_deeper(value: Any, most: int) -> bool:
    """Return whether dicts and lists are nested more than `most` levels deep."""
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
