"""The options of the trackio sink."""

from __future__ import annotations

from unitrack.hookspecs import SinkOptions


class TrackioOptions(SinkOptions, frozen=True, kw_only=True):
    """What `sinks: [{trackio: {...}}]` may say. The folder is trackio's own setting: TRACKIO_DIR in the environment."""

    project: str | None = None
    """trackio's project. Default: the run's project."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a project without a name."""
        if self.project is not None and not self.project.strip():
            raise ValueError("project is empty: give it a name, or leave the option out")
