"""The checks of `unitrack doctor` for W&B."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from unitrack.errors import SinkError, SinkMisconfiguredError
from unitrack.hookspecs import Finding
from unitrack_wandb.options import WandbOptions
from unitrack_wandb.reachability import why_unreachable

_REACH_S = 10.0
"""What any answer may take: less than `unitrack doctor` gives to the whole check."""


def check(options: WandbOptions) -> Iterator[Finding]:
    """The package, then the folder (offline) or the server and the key (online)."""
    try:
        from unitrack_wandb.sdk import wandb  # noqa: PLC0415  # that it may fail is what is checked
    except ImportError as error:
        yield Finding(ok=False, subject="package", message=f"wandb can't be imported ({error}): pip install -U wandb")
        return
    yield Finding(ok=True, subject="package", message=f"wandb {wandb.__version__}")
    if options.dir is not None or options.mode == "offline":
        yield _folder(Path(options.dir or "."))
    if options.mode == "online":
        yield from _server(options)


def _folder(folder: Path) -> Finding:
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    ok = existing.is_dir() and os.access(existing, os.W_OK)
    message = f"{folder} is writable" if ok else f"{existing} is not a writable folder: set dir to one that is"
    return Finding(ok=ok, subject="folder", message=message)


def _server(options: WandbOptions) -> Iterator[Finding]:
    """First whether the server answers anybody, then whether it takes the key."""
    from unitrack_wandb import account  # noqa: PLC0415  # it imports the SDK, which may fail

    try:
        account.find_api_key(options)
    except SinkError as error:
        yield Finding(ok=False, subject="credentials", message=str(error))
        return
    url = account.base_url(options)
    if (trouble := why_unreachable(url, min(options.init_timeout, _REACH_S))) is not None:
        message = f"{url} {trouble}: check the network, a proxy, and base_url; the API key was not looked at"
        yield Finding(ok=False, subject="server", message=message)
        return
    yield Finding(ok=True, subject="server", message=f"{url} answers")
    try:
        api = account.connect(options)
        entity = options.entity or api.default_entity
    except SinkMisconfiguredError as error:
        yield Finding(ok=False, subject="credentials", message=str(error))
    except Exception as error:
        message = f"{url} answers, but not about the API key: is base_url right, and is W&B up? ({error})"
        yield Finding(ok=False, subject="server", message=message)
    else:
        yield Finding(ok=True, subject="credentials", message=f"the API key is accepted, entity {entity}")
