"""What a user can set for a W&B sink."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec

from unitrack.hookspecs import SinkOptions

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
"""W&B's own defaults are 90 s for init and for ever for finish; a sink must come back to its lane."""


class WandbOptions(SinkOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the `wandb` backend."""

    mode: Literal["online", "offline", "disabled"] = "online"
    """"offline" writes a folder for `wandb sync` and needs no network and no key; "disabled" leaves W&B out of the
    run."""
    project: str | None = None
    """The W&B project. None: the run's project."""
    entity: str | None = None
    """The user or team that owns the project. None: the default of the account."""
    dir: str | None = None
    """Where the SDK's `wandb/` folder goes. None: into the run folder."""
    base_url: str | None = None
    """The W&B server, https://host. None: what `wandb login --host` says."""
    api_key: str | None = None
    """None: WANDB_API_KEY or the key that `wandb login` stored, which keeps it out of configuration files."""
    init_timeout: Seconds = 20.0
    """Seconds for reaching the server when a run is opened."""
    finish_timeout: Seconds = 60.0
    """Seconds for the upload at the end of a run, and again for the server to confirm it."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a server's address that is none."""
        if self.base_url is not None and not re.match(r"https?://[^/]", self.base_url):
            raise ValueError(f"base_url {self.base_url!r} is no address of a server: write https://host")

    @classmethod
    def at(cls, place: str) -> Self:
        """Options of offline runs in the folder `place`. A server is named by a configured sink, not by a location."""
        return cls(mode="offline", dir=place)

    def is_disabled(self) -> bool:
        """Return whether `mode` is "disabled"."""
        return self.mode == "disabled"

    def is_shared(self) -> bool:
        """Return whether it writes to a W&B server."""
        return self.mode == "online"

    def anchored(self, directory: Path) -> Self:
        """The same options with an absolute `dir`."""
        if self.dir is None:
            return self
        return msgspec.structs.replace(self, dir=str((directory / Path(self.dir).expanduser()).resolve()))
