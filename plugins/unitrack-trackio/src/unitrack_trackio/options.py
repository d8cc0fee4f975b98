"""The options of the trackio sink."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

from unitrack.hookspecs import SinkOptions


class TrackioOptions(SinkOptions, frozen=True, kw_only=True):
    """What `sinks: [{trackio: {...}}]` may say. The folder is trackio's own setting: TRACKIO_DIR in the environment."""

    project: str | None = None
    """trackio's project. Default: the run's project."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a project without a name."""
        if self.project is not None and not self.project.strip():
            raise ValueError("project is empty: give it a name, or leave the option out")

    @classmethod
    def at(cls, place: str) -> Self:
        """Options of projects in the folder `place`; sets TRACKIO_DIR, which trackio reads once, when it is imported.

        Raises `ValueError` if this process has trackio with another folder.
        """
        folder = Path(place).expanduser().absolute()
        if (loaded := sys.modules.get("trackio")) is not None and Path(loaded.TRACKIO_DIR).absolute() != folder:
            raise ValueError(
                f"trackio has been imported with the folder {loaded.TRACKIO_DIR}, and takes no other one in this "
                f"process: set TRACKIO_DIR={folder} and start again"
            )
        os.environ["TRACKIO_DIR"] = str(folder)
        return cls()
