"""A connection to a W&B server for reading, and its errors in the words of a reader."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from unitrack.errors import SinkError
from unitrack_wandb import account
from unitrack_wandb.errors import http_status, is_malformed_key
from unitrack_wandb.options import WandbOptions
from unitrack_wandb.reachability import why_unreachable
from unitrack_wandb.sdk import silenced, wandb

_REACH_S = 10.0
_ANSWER_S = 20
"""Seconds that one request of a listing may take, with the retries of the SDK."""
_IMPATIENT: dict[str, Any] = {
    "x_graphql_retry_max": 4,
    "x_graphql_retry_wait_min_seconds": 1.0,
    "x_graphql_retry_wait_max_seconds": 2.0,
}
"""The SDK asks 20 times, with pauses up to a minute, and no time limit holds for the pages of a history."""
_ADVICE = {
    401: "the API key was refused: run `wandb login`, or set WANDB_API_KEY",
    403: "the API key may not read there: ask for access to the entity, or use another key",
}


def connect_to_read(place: str) -> Any:
    """Return a `wandb.Api` for the server that the SDK is set up for.

    Raises `PermissionError` without a key that it accepts, `ConnectionError` if it can't be reached.
    """
    options = WandbOptions(base_url=os.environ.get("WANDB_BASE_URL") or None)  # the SDK looks at it only once
    url = account.base_url(options)
    here = f"there is no folder {place!r} on this machine, and the W&B server {url}"
    try:
        key = account.find_api_key(options)
    except SinkError:
        raise PermissionError(
            f"{here} needs an API key: run `wandb login`, or set WANDB_API_KEY (and WANDB_BASE_URL for your own server)"
        ) from None
    if (trouble := why_unreachable(url, _REACH_S)) is not None:
        raise ConnectionError(f"{here} {trouble}: check the network, a proxy, and WANDB_BASE_URL")
    with explained(place), silenced(), _impatience():
        return wandb.Api(api_key=key, overrides={"base_url": url}, timeout=_ANSWER_S)


@contextlib.contextmanager
def _impatience() -> Iterator[None]:
    """Let an `Api` that is made meanwhile give up early; it copies the settings of the process."""
    settings = wandb.setup().settings
    usual = {name: getattr(settings, name) for name in _IMPATIENT}
    for name, value in _IMPATIENT.items():
        setattr(settings, name, value)
    try:
        yield
    finally:
        for name, value in usual.items():
            setattr(settings, name, value)


@contextlib.contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what the SDK raises into an error that names the place and what to do."""
    try:
        yield
    except Exception as error:
        if not _is_of_the_sdk(error):
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        status = http_status(error)
        if status == 404 or "could not find" in text.lower():
            raise FileNotFoundError(
                f"there is no folder {place!r} on this machine, and no such project or run at W&B ({text}): "
                "give a folder, or entity/project or entity/project/run_id, spelled as in the address of its page"
            ) from error
        if status in (401, 403) or is_malformed_key(error):
            raise PermissionError(f"{_ADVICE.get(status or 401)} ({text})") from error
        raise ConnectionError(f"W&B does not answer, or only with errors; try again later ({text})") from error


def _is_of_the_sdk(error: Exception) -> bool:
    """Return whether the SDK raised it; for a project that is not there it raises a plain `ValueError`."""
    return type(error).__module__.startswith("wandb.") or (type(error) is ValueError and "find" in str(error))
