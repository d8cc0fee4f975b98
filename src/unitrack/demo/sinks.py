"""The demo's sinks: everything they write lies in the demo's own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.plugins.registry import OFFICIAL, Plugins

SinkEntry = dict[str, dict[str, Any]]


class Chosen(msgspec.Struct, frozen=True):
    """Which sinks the demo uses."""

    entries: list[SinkEntry]
    left_out: dict[str, str]
    """Backends that can't be used here, and why, with the install command."""


def choose(names: Sequence[str], plugins: Plugins, folder: Path) -> Chosen:
    """Return those of `names` that can be used. Raises `ConfigError` for an unknown name."""
    entries: list[SinkEntry] = []
    left_out: dict[str, str] = {}
    known = {*OFFICIAL, *plugins.backends, *(plugin.name for plugin in plugins.plugins)}
    for name in dict.fromkeys(names):
        try:
            plugins.sink_backend(name)
        except ConfigError as error:
            if name not in known:
                raise
            left_out[name] = str(error)
        else:
            entries.append({name: _options(folder).get(name, {})})
    return Chosen(entries, left_out)


def _options(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the options with which each official backend stays in the folder and off the network."""
    return {
        "mlflow": {
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_location": str(folder / "mlartifacts"),
        },
        "wandb": {"mode": "offline"},
        "tensorboard": {"logdir": str(folder / "tensorboard")},
    }
