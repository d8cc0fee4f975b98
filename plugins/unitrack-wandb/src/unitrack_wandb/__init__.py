"""unitrack's Weights & Biases backend. Importing this imports no SDK; the sink and the source do."""

from __future__ import annotations

from collections.abc import Iterable

from unitrack import hookimpl
from unitrack.hookspecs import Backend
from unitrack_wandb.options import WandbOptions

__all__ = ["WandbOptions", "register_backends"]
__version__ = "0.1.0"


@hookimpl
def register_backends() -> Iterable[Backend]:
    """The one backend that this plugin serves."""
    return [
        Backend(
            name="wandb",
            summary="Weights & Biases, online or as offline runs for `wandb sync`",
            sink="unitrack_wandb.sink:WandbSink",
            options=WandbOptions,
            source="unitrack_wandb.source:WandbSource",
            requires=("wandb",),
            install="unitrack-wandb",
            check="unitrack_wandb.check:check",
        )
    ]
