"""Validators of a team: rules for what may be logged, checked in each log call before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unitrack import hookimpl
from unitrack.hookspecs import Validators

UNSAFE_SUFFIXES = frozenset({".pkl", ".pickle"})


@hookimpl
def register_validators() -> Validators:
    """Called at `start_run`."""
    return Validators(metric=(accuracy_is_a_fraction,), param=(short_home,), artifact=(no_pickles,))


def accuracy_is_a_fraction(name: str, value: float, step: int) -> float:
    """Refuse percentages where fractions are meant."""
    if name.endswith("accuracy") and value > 1:
        raise ValueError(f"{value} is more than 1; log a fraction, not a percentage")
    return value


def short_home(name: str, value: Any) -> Any:
    """Keep user names out of params."""
    return value.replace(str(Path.home()), "~") if isinstance(value, str) else value


def no_pickles(path: Path, name: str) -> None:
    """Refuse files that run code when they are opened."""
    if Path(name).suffix in UNSAFE_SUFFIXES:
        raise ValueError("pickles run code when they are opened; use safetensors, skops or ONNX")
