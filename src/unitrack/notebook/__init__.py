"""The IPython extension: `%load_ext unitrack` shows each run that a cell starts, and keeps it up to date."""

from __future__ import annotations

from typing import Any

from unitrack.notebook.live_display import LiveDisplay

_loaded: list[LiveDisplay] = []


def load_ipython_extension(shell: Any) -> None:
    """Show runs from now on: that of `unitrack.start_run` in the cell that calls it, until it has ended."""
    if not _loaded:
        _loaded.append(LiveDisplay(shell))


def unload_ipython_extension(shell: Any) -> None:
    """Show runs no longer."""
    while _loaded:
        _loaded.pop().close()
