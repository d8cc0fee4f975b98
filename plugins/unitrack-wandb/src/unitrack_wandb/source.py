"""What `wandb:` locations are: a folder of offline runs, or a project or a run on a W&B server."""

from __future__ import annotations

import re
from pathlib import Path

from unitrack.hookspecs import Source
from unitrack_wandb.offline_source import OfflineSource

_AT_SERVER = re.compile(r"[\w-][\w.-]*/[\w-][\w. -]*(/[\w-][\w.-]*)?")


def open_source(location: str) -> Source:
    """Return the source of a folder, or of `entity/project` or `entity/project/run_id` on a server.

    A folder that exists goes first. Raises `FileNotFoundError` if there is neither.
    """
    path = Path(location).expanduser()
    if path.suffix == ".wandb" and path.is_file():
        path = path.parent
    if path.is_dir():
        return OfflineSource(path)
    if _AT_SERVER.fullmatch(location):
        from unitrack_wandb.server_source import ServerSource  # noqa: PLC0415  # folders need no server

        return ServerSource(location)
    raise FileNotFoundError(
        f"there is no folder {path.absolute()}: give one of offline runs, or one above, "
        f"or a project at W&B as entity/project"
    )
