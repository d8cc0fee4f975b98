"""Rewriting scripts: calls of W&B, trackio, MLflow and `SummaryWriter` become calls of unitrack.

It reads the text of a script and never runs it. What has no counterpart is left as it is, and named with its line.
"""

from __future__ import annotations

from unitrack.migrate.migration import Migration, Remark
from unitrack.migrate.script import migrate_script

__all__ = ["Migration", "Remark", "migrate_script"]
