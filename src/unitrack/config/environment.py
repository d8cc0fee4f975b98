"""The environment variables of unitrack: one layer each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from unitrack.config.expansion import EnvironmentText
from unitrack.config.layers import Layer

CONFIG_VARIABLE = "UNITRACK_CONFIG"

VARIABLES = {
    "UNITRACK_SINKS": ("tracking", "sinks"),
    "UNITRACK_PROJECT": ("experiment", "project"),
    "UNITRACK_ROOT": ("tracking", "root"),
    "UNITRACK_DELIVERY": ("tracking", "delivery"),
    "UNITRACK_MODE": ("tracking", "mode"),
    "UNITRACK_LINGER": ("tracking", "linger"),
    "UNITRACK_CROWD": ("tracking", "crowd"),
}
"""The key that each variable sets."""


_SINK_OPTION = re.compile(r"UNITRACK_([A-Z0-9][A-Z0-9_]*?)__([A-Z0-9_]+)")
"""UNITRACK_MLFLOW__TRACKING_URI sets the option `tracking_uri` of the sink `mlflow`."""


class SinkOption(msgspec.Struct, frozen=True):
    """An option of a sink that a variable sets."""

    variable: str
    sink: str
    """The sink's name, or its backend, as it stands in the variable: see `in_variable`."""
    option: str
    value: object

    @property
    def origin(self) -> str:
        """The variable, as messages name it."""
        return f"environment {self.variable}"


def in_variable(name: str) -> str:
    """Return the form of a sink's name in a variable: `mlflow-2` is MLFLOW_2."""
    return re.sub(r"\W", "_", name).upper()


def sink_options(environ: Mapping[str, str]) -> Iterator[SinkOption]:
    """Yield each option of a sink that the environment sets. A value that begins with `[` or `{` is read as YAML."""
    for variable, text in environ.items():
        if (found := _SINK_OPTION.fullmatch(variable)) and text.strip():
            yield SinkOption(variable, found[1], found[2].lower(), _option_value(variable, text.strip()))


def _option_value(variable: str, text: str) -> object:
    if text[0] not in "[{":
        return EnvironmentText(text)
    from unitrack.config.yamlfile import read_yaml  # noqa: PLC0415  # PyYAML costs 11 ms

    return read_yaml(text, f"environment {variable}")[0]


def environment_layers(environ: Mapping[str, str]) -> Iterator[Layer]:
    """Return one layer for each variable that is set. An empty one counts as not set."""
    for variable, (section, key) in VARIABLES.items():
        if text := environ.get(variable, "").strip():
            yield Layer(f"environment {variable}", {section: {key: _value(key, text)}})


def _value(key: str, text: str) -> str | list[str]:
    """Return the meaning of a variable's text: a list of sinks, or the text itself."""
    if key == "sinks":
        return [name.strip() for name in text.split(",") if name.strip()]
    return EnvironmentText(text)
