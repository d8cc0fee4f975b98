"""Using an artifact with a run or without one."""

from __future__ import annotations

import os
from pathlib import Path

from unitrack.artifacts.finding import FoundArtifact, find_artifact
from unitrack.artifacts.names import parse_wanted
from unitrack.artifacts.registry import Registry
from unitrack.config import resolve
from unitrack.config.project import FALLBACK
from unitrack.run.current import current_run


def use_artifact(
    artifact: str, *, project: str | None = None, root: str | os.PathLike[str] | None = None
) -> FoundArtifact:
    """Return a version of a named artifact, and note that the current run, if there is one, uses it.

    `artifact`: "model:v3", "model:best", or "model" for the latest one. `project` and `root` are those of the current
    run; without a run, those that are configured. With `root` it is looked for under that folder of runs, and no use is
    noted. See `Run.use_artifact` for what it returns and raises.
    """
    run = current_run()
    if run is not None and root is None:
        return run.use_artifact(artifact, project=project)
    return find_configured(artifact, project or (run.project if run else None), root)


def find_configured(artifact: str, project: str | None, root: str | os.PathLike[str] | None = None) -> FoundArtifact:
    """Return a version of an artifact of the configured project under the configured root. Raises as `use_artifact`."""
    settings = resolve().settings
    folder = Path(settings.tracking.root if root is None else root).expanduser().absolute()
    return find_artifact(Registry(folder), project or settings.experiment.project or FALLBACK, parse_wanted(artifact))
