"""The W&B server and the credentials for it, found where the SDK would find them. Never interactive."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from unitrack.errors import SinkMisconfiguredError
from unitrack_wandb.errors import sink_error
from unitrack_wandb.options import WandbOptions
from unitrack_wandb.sdk import silenced, wandb


def base_url(options: WandbOptions) -> str:
    """The server that `options` speak of."""
    return (options.base_url or str(wandb.setup().settings.base_url)).rstrip("/")


def find_api_key(options: WandbOptions) -> str | None:
    """The key to use: from the options, WANDB_API_KEY, or the netrc file that `wandb login` writes.

    None: WANDB_IDENTITY_TOKEN_FILE is set, which the SDK handles. Raises `SinkMisconfiguredError` if there is nothing,
    so that the SDK never gets to ask a person. What the SDK's settings hold is left out: they keep the key of whichever
    sink came first, and that one may be another server's.
    """
    url = base_url(options)
    key = options.api_key or os.environ.get("WANDB_API_KEY") or _netrc_key(urlparse(url).hostname or "")
    if not key and not os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        raise SinkMisconfiguredError(
            f"no W&B API key for {url}: run `wandb login`, or set WANDB_API_KEY or the option api_key, "
            'or use mode: "offline"'
        )
    return key or None


def connect(options: WandbOptions) -> Any:
    """A `wandb.Api` whose credentials the server has accepted, within `init_timeout` seconds.

    Raises `SinkMisconfiguredError` or `SinkUnavailableError`.
    """
    url, key = base_url(options), find_api_key(options)
    try:
        with silenced():
            return wandb.Api(api_key=key, overrides={"base_url": url}, timeout=max(1, round(options.init_timeout)))
    except Exception as error:
        raise sink_error(error, f"asking the W&B server {url}") from error


def _netrc_key(host: str) -> str | None:
    for name in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        if name and (path := Path(name).expanduser()).is_file():
            try:
                entry = netrc.netrc(path).authenticators(host)
            except (OSError, netrc.NetrcParseError):
                return None
            return entry[2] if entry else None
    return None
