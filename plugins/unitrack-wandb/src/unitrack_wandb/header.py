"""All of a W&B run but its history, wherever it was read."""

from __future__ import annotations

from typing import Any

import msgspec

from unitrack.records import MetricDefinition
from unitrack_wandb.names import RECORD
from unitrack_wandb.sdk import pb


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run without its rows."""

    id: str = ""
    project: str = ""
    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    job_type: str = ""
    started: float = 0.0
    """Seconds since the epoch."""
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    """What was set by hand, nested."""
    definitions: dict[str, MetricDefinition] = {}
    """What `define_metric` was given, by metric or glob."""
    files: tuple[str, ...] = ()
    """Run files that were saved, relative to the folder of the run's files."""
    artifacts: tuple[pb.ArtifactRecord, ...] = ()
    """W&B's artifacts that were logged."""
    rows: int = 0
    first_row: int = 0
    """W&B's step of the first row; not 0 if an earlier part of the run went to the server from another folder."""
    exit_code: int | None = None
    """None: the file ends before the run did."""
    damaged: int = 0
    """Bytes of the file that can't be read; what they held is missing."""

    @property
    def record(self) -> dict[str, Any] | None:
        """What unitrack keeps in the config; None if it did not write the run."""
        record = self.config.get(RECORD)
        return record if isinstance(record, dict) and "run_id" in record else None
