"""Pictures among artifacts, for W&B's media panels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from unitrack.records import Artifact
from unitrack_wandb.sdk import wandb

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"})
"""What `wandb.Image` takes from a path (0.31)."""


def is_image(artifact: Artifact) -> bool:
    """Whether the artifact gets a row of its own; told from its record alone, so that row numbers never change."""
    return artifact.type in ("figure", "image") and Path(artifact.name).suffix.lower() in _SUFFIXES


def viewable(path: Path) -> Any:
    """The picture for a row, or just its name where pillow is missing or the file can't be read."""
    if importlib.util.find_spec("PIL") is None:
        return path.name
    try:
        return wandb.Image(str(path))
    except (OSError, ValueError):
        return path.name
