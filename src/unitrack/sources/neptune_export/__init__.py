"""The backend `neptune-export`: the Parquet files that neptune-exporter, or `unitrack export --format neptune`, wrote.

https://github.com/neptune-ai/neptune-exporter describes them.
"""

from __future__ import annotations

from unitrack.hookspecs import Backend, hookimpl


@hookimpl
def register_backends() -> list[Backend]:
    """Return the backend `neptune-export`."""
    return [
        Backend(
            name="neptune-export",
            summary="what neptune-exporter has saved of neptune.ai: a folder with data/ and files/",
            source="unitrack.sources.neptune_export.source:NeptuneExportSource",
            requires=("duckdb",),
            install="unitrack-core[sql]",
        )
    ]
