"""The environment variables: one layer each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from unitrack.config.layers import Layer

CONFIG_VARIABLE = "UNITRACK_CONFIG"

VARIABLES = {
    "UNITRACK_SINKS": ("tracking", "sinks"),
    "UNITRACK_PROJECT": ("experiment", "project"),
    "UNITRACK_ROOT": ("tracking", "root"),
    "UNITRACK_DELIVERY": ("tracking", "delivery"),
    "UNITRACK_MODE": ("tracking", "mode"),
    "UNITRACK_LINGER": ("tracking", "linger"),
}
"""The key that each variable sets."""


def environment_layers(environ: Mapping[str, str]) -> Iterator[Layer]:
    """One layer for each variable that is set. An empty one counts as not set."""
    for variable, (section, key) in VARIABLES.items():
        if text := environ.get(variable, "").strip():
            yield Layer(f"environment {variable}", {section: {key: _value(key, text)}})


def _value(key: str, text: str) -> str | float | list[str]:
    """What a variable's text means: a list of sinks, a number of seconds, or the text itself."""
    if key == "sinks":
        return [name.strip() for name in text.split(",") if name.strip()]
    if key == "linger":
        with contextlib.suppress(ValueError):
            return float(text)
    return text
