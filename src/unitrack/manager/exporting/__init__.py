"""Writing runs to files that other tools read: Parquet, CSV, JSON lines, and the folders of neptune-exporter."""

from __future__ import annotations

from unitrack.manager.exporting.exporter import Exported, export

__all__ = ["Exported", "export"]
