"""The demo's sinks: everything they write lies in the demo's own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.plugins import OFFICIAL, Plugins

SinkEntry = dict[str, dict[str, Any]]


class Chosen(msgspec.Struct, frozen=True):
    """Which sinks the demo uses."""

    entries: list[SinkEntry]
    left_out: dict[str, str]
    """Backends that can't be used here, and why, with the install command."""


def choose(names: Sequence[str], plugins: Plugins, folder: Path) -> Chosen:
    """Those of `names` that can be used. Raises `ConfigError` for a name that nobody knows."""
    entries: list[SinkEntry] = []
    left_out: dict[str, str] = {}
    known = {*OFFICIAL, *plugins.backends, *(plugin.name for plugin in plugins.plugins)}
    for name in dict.fromkeys(names):
        try:
            plugins.backend(name)
        except ConfigError as error:
            if name not in known:
                raise
            left_out[name] = str(error)
        else:
            entries.append({name: _options(folder).get(name, {})})
    return Chosen(entries, left_out)


def _options(folder: Path) -> dict[str, dict[str, Any]]:
    """What each official backend needs to stay in the folder and off the network."""
    return {
        "mlflow": {
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_location": str(folder / "mlartifacts"),
        },
        "wandb": {"mode": "offline"},
        "tensorboard": {"logdir": str(folder / "tensorboard")},
    }
