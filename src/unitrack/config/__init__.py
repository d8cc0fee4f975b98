"""What a user can set, where it may be set, and what holds when it is set twice.

`resolve` merges the call, the environment and one file into `Settings`, with the origin of each value.
Importing this package costs next to nothing: YAML and TOML are loaded when there is a file to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitrack.config.resolution import Resolved, resolve
from unitrack.config.settings import Safeguards, Settings
from unitrack.config.sinks import SinkSettings

if TYPE_CHECKING:
    from unitrack.config.experiment import ExperimentConfig

__all__ = ["ExperimentConfig", "Resolved", "Safeguards", "Settings", "SinkSettings", "resolve"]


def __getattr__(name: str) -> Any:
    """Import the dataclass when it is asked for."""
    if name == "ExperimentConfig":
        from unitrack.config.experiment import ExperimentConfig  # noqa: PLC0415  # dataclasses cost 2 ms

        return ExperimentConfig
    raise AttributeError(f"module 'unitrack.config' has no attribute {name!r}")
