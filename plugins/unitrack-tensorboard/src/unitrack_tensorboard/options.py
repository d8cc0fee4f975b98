"""The options of the TensorBoard sink."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import msgspec

from unitrack.hookspecs import SinkOptions


class TensorBoardOptions(SinkOptions, frozen=True, kw_only=True):
    """What `sinks: [{tensorboard: {...}}]` may say."""

    logdir: str | None = None
    """The folder that `tensorboard --logdir` gets. Each run is in a folder of it, named like the run folder, so
    runs that share a logdir are shown side by side. Default: `tensorboard` in the run folder."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a logdir that can't be one."""
        if self.logdir is not None and not self.logdir.strip():
            raise ValueError("logdir is empty: name a folder, or leave the option out")
        if self.logdir is not None and "://" in self.logdir:
            raise ValueError(f"logdir {self.logdir!r} is no local folder: mount the bucket, or copy runs there")

    def anchored(self, directory: Path) -> Self:
        """`logdir` made absolute from `directory`."""
        if self.logdir is None:
            return self
        return msgspec.structs.replace(self, logdir=str(directory / os.path.expanduser(self.logdir)))
