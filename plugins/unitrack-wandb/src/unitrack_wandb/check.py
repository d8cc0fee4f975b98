"""What `unitrack doctor` looks at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from unitrack.errors import SinkError
from unitrack.hookspecs import Finding
from unitrack_wandb.options import WandbOptions


def check(options: WandbOptions) -> Iterator[Finding]:
    """The package, then the folder (offline) or the server and the key (online)."""
    try:
        from unitrack_wandb.sdk import wandb
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
    from unitrack_wandb import account

    try:
        account.find_api_key(options)
    except SinkError as error:
        yield Finding(ok=False, subject="credentials", message=str(error))
        return
    try:
        api = account.connect(options)
        entity = options.entity or api.default_entity
    except Exception as error:
        yield Finding(ok=False, subject="server", message=f"{error}; check base_url, the network and the API key")
        return
    yield Finding(
        ok=True, subject="server", message=f"{account.base_url(options)} accepts the API key, entity {entity}"
    )
