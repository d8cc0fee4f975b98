"""The source files of a run as a W&B artifact of the type "code", which W&B shows in a tab of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unitrack_wandb.datasets import artifact_name

PREFIX = "unitrack-source-"
"""Of the names of these artifacts, whose files are files of the run as well: W&B's call takes no metadata."""


def log(run: Any, folder: Path, name: str) -> None:
    """Log a folder of source files as an artifact of the run. `name`: that of unitrack's artifact."""
    if folder.is_dir():
        # unitrack has chosen the files; W&B's own choice may leave out all, since they lie in a folder "wandb"
        chosen = {"include_fn": lambda path, root: True, "exclude_fn": lambda path, root: False}
        run.log_code(str(folder), artifact_name(f"{PREFIX}{run.project}-{name}"), **chosen)
