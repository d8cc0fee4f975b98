"""Environment variables in the values of a configuration file: `${VAR}` and `${VAR:-default}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.config.layers import KeyPath, Layer, dotted
from unitrack.errors import ConfigError

_REFERENCE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class EnvironmentText(str):
    """Text from an environment variable, which may stand for a number or for true and false."""


def expand(layer: Layer, environ: Mapping[str, str]) -> Layer:
    """Replace the references in all values of a layer; `$${VAR}` stands for the text `${VAR}`.

    An empty variable counts as not set. Raises `ConfigError` for one that is not set and has no default.
    """
    return msgspec.structs.replace(layer, values=_expanded(layer.values, (), layer, environ))


def _expanded(value: Any, path: KeyPath, layer: Layer, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(item, (*path, str(key)), layer, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, (*path, index), layer, environ) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replacement(reference: re.Match[str]) -> str:
        is_escaped, name, default = reference.groups()
        if is_escaped:
            return reference[0][1:]
        found = environ.get(name) or default
        if found is None:
            raise ConfigError(
                f"{layer.where(path)}: {dotted(path)}: the environment variable {name} is not set; "
                f"set it, or write ${{{name}:-default}}"
            )
        return found

    return EnvironmentText(_REFERENCE.sub(replacement, value))
