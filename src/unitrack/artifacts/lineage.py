"""Lineage: the versions that a run has used."""

from __future__ import annotations

from collections.abc import Iterator

from unitrack.artifacts.registry import Registry


def inputs_of(registry: Registry, run_id: str) -> Iterator[str]:
    """Yield the versions that a run has used, as "data:v2", without those that it has made itself."""
    for artifact in registry.artifacts():
        for version in artifact.read().versions.values():
            if run_id in (run.id for run in version.used_by) and run_id != version.made_by.id:
                yield f"{artifact.name}:{version.label}"
