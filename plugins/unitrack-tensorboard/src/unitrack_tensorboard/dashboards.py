"""Which dashboard each tag of a run is for: the one that the first value with metadata names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tensorboard.plugins.scalar.metadata import PLUGIN_NAME as SCALARS

from unitrack_tensorboard.frame_reader import Array

_SCALAR_PLUGINS = (SCALARS, "")
"""A number of no known dashboard is a scalar too: the event that named the dashboard may be damaged."""


def is_scalar(plugin: str) -> bool:
    """Return whether a number for this dashboard is a point."""
    return plugin in _SCALAR_PLUGINS


class Dashboards:
    """The dashboards of tags, told by one stretch of a file after the other.

    In a stretch, events of one form come before those that are parsed one by one. So each call has the numbers of its
    events, and the first event in the file counts.
    """

    def __init__(self) -> None:
        self._plugins: dict[str, str] = {}
        self._scalars: Mapping[str, int] = {}
        self._others: dict[str, int] = {}

    def begin(self, scalars: Mapping[str, int]) -> None:
        """Begin a stretch. `scalars` are the tags of events of one form that name the Scalars dashboard, each with the
        number of the first such event.
        """
        self._scalars, self._others = scalars, {}

    def of(self, tag: str, number: int, named: str | None) -> str:
        """Return the dashboard of a tag at an event that is parsed by itself; `named` is the one in its metadata."""
        if tag not in self._plugins and self._scalars.get(tag, number) < number:
            self._plugins[tag] = SCALARS
        if named is not None and tag not in self._plugins:
            self._plugins[tag] = named
            self._others[tag] = number
        return self._plugins.get(tag, "")

    def are_scalars(self, names: list[str], tags: Array, numbers: Array) -> Array:
        """Return which tensors are points, by the tags and the numbers of their events: at the end of the stretch."""
        for tag in self._scalars:
            self._plugins.setdefault(tag, SCALARS)
        scalars: Array = np.ones(len(tags), bool)
        for tag in np.unique(tags).tolist():
            if not is_scalar(self._plugins.get(names[tag], "")):
                scalars &= (tags != tag) | (numbers < self._others.get(names[tag], -1))
        return scalars
