"""`wandb.Settings`, and what `wandb.init` is told by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_VARIABLES = {
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "name": "WANDB_NAME",
    "id": "WANDB_RUN_ID",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "notes": "WANDB_NOTES",
    "mode": "WANDB_MODE",
    "resume": "WANDB_RESUME",
}


class Settings:
    """Settings by name. None of them changes anything, but for those that are arguments of `init` as well."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def from_environment(name: str) -> Any:
    """Return an argument of `init` that a variable gives; None without one."""
    return os.environ.get(_VARIABLES[name]) or None if name in _VARIABLES else None


def tags_from_environment() -> list[str]:
    """Return the tags of WANDB_TAGS."""
    return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def as_settings(given: Settings | Mapping[str, Any] | None) -> Settings:
    """Return settings that are given as such or as a mapping."""
    return given if isinstance(given, Settings) else Settings(**(given or {}))
