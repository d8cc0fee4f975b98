"""The datasets that a run uses, as W&B artifacts of the type "dataset", whose versions change when the data does."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from unitrack.hookspecs import decode
from unitrack.records import Dataset
from unitrack_wandb.sdk import wandb

MARK = "unitrack_dataset"
"""The key of an artifact's metadata that tells ours from those of other programs."""
_ODD = re.compile(r"[^A-Za-z0-9_.\-]")
_MAX_NAME = 100
"""Characters; W&B takes 128."""


def log(run: Any, file: Path) -> None:
    """Log what a file says of a dataset as an artifact of the run; a file that does not describe one is only a file.

    The artifact holds the description alone, whose digest is that of the data.
    """
    try:
        dataset = decode(file.read_bytes(), Dataset)
    except (OSError, ValueError):
        return
    if not dataset.digest:
        return
    metadata = {key: value for key, value in msgspec.to_builtins(dataset).items() if key not in ("name", "columns")}
    metadata["columns"] = {column.name: column.type for column in dataset.columns}
    artifact = wandb.Artifact(
        artifact_name(dataset.name), type="dataset", description=dataset.context or None, metadata={MARK: 1, **metadata}
    )
    artifact.add_file(str(file), name="dataset.json")
    run.log_artifact(artifact)


def artifact_name(name: str) -> str:
    """Return the name of a dataset as W&B takes it; no two datasets have the same."""
    safe = _ODD.sub("_", name)[:_MAX_NAME]
    return name if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
