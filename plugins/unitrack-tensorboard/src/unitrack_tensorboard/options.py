"""The options of the TensorBoard sink."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Self

import msgspec

from unitrack.hookspecs import SinkOptions

ChartLayout = dict[str, dict[str, list[str]]]
"""Category -> chart -> regular expressions; a tag is in the chart if one matches at its beginning."""

DEFAULT_LOGDIR = "tensorboard"
"""Under the root, beside the run folders."""


class TensorBoardOptions(SinkOptions, frozen=True, kw_only=True):
    """What `sinks: [{tensorboard: {...}}]` may say."""

    logdir: str | None = None
    """The folder that `tensorboard --logdir` gets. Each run is in a folder of it, named like the run folder, or
    `<run folder>-<run id>` where another run has that name; so runs that share a logdir are shown side by side.
    Default: `tensorboard` beside the run folder, so that all runs under a root are in one view."""

    layout: ChartLayout = msgspec.field(default_factory=dict)
    """Charts of the Custom Scalars dashboard: {"losses": {"both": ["train/loss", "val/loss"]}}."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a logdir that can't be one, and for a layout that would show nothing."""
        for category, charts in self.layout.items():
            if not charts:
                raise ValueError(f"layout {category!r} has no charts: {{chart: [tag, ...]}}")
            for chart, tags in charts.items():
                _check_chart(f"layout {category!r}, chart {chart!r}", tags)
        if self.logdir is not None and not self.logdir.strip():
            raise ValueError("logdir is empty: name a folder, or leave the option out")
        if self.logdir is not None and "://" in self.logdir:
            raise ValueError(f"logdir {self.logdir!r} is no local folder: mount the bucket, or copy runs there")

    @classmethod
    def at(cls, place: str) -> Self:
        """Options with `place` as the logdir."""
        return cls(logdir=place)

    def anchored(self, directory: Path) -> Self:
        """`logdir` made absolute from `directory`."""
        if self.logdir is None:
            return self
        return msgspec.structs.replace(self, logdir=str(directory / os.path.expanduser(self.logdir)))


def _check_chart(where: str, tags: list[str]) -> None:
    if not tags or not all(tags):
        raise ValueError(f"{where}: name at least one tag, none of them empty")
    for tag in tags:
        try:
            re.compile(tag)
        except re.error as error:
            raise ValueError(f"{where}: {tag!r} is no regular expression: {error}") from None
