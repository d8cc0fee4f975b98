"""Errors of the SDK as errors of a sink, which say what the lane is to do."""

from __future__ import annotations

import re

import pydantic

from unitrack.errors import SinkError, SinkMisconfiguredError, SinkUnavailableError
from unitrack_wandb.sdk import wandb

_STATUS = re.compile(r"\b(?:error|status|HTTP)[: ]+(\d{3})\b", re.IGNORECASE)
_TRANSIENT = {408, 425, 429}
_ADVICE = {
    401: "the API key was refused: run `wandb login`, or set WANDB_API_KEY or the option api_key",
    403: "the API key may not write there: check the options entity and project, and the key's permissions",
    404: "there is no such entity or project, or base_url is no W&B server",
}


def sink_error(error: Exception, doing: str, *, reopen: bool = False) -> SinkError:
    """The sink's answer to `error`, which came up while `doing`. `reopen`: that may not be done again as it is.

    W&B's own `AuthenticationError` says both "refused" and "could not be asked", so the HTTP status decides.
    """
    if isinstance(error, SinkError):
        return error
    text = str(error).strip() or type(error).__name__
    status = http_status(error)
    if status is not None and 400 <= status < 500 and status not in _TRANSIENT:
        return SinkMisconfiguredError(f"{doing}: {_ADVICE.get(status, 'W&B refused the request')} ({text})")
    if status is None and _is_usage(error):
        return SinkMisconfiguredError(f"{doing}: {text}")
    return SinkUnavailableError(f"{doing}: {text}", reopen=reopen)


def http_status(error: Exception) -> int | None:
    """The HTTP status that an SDK error tells of in its text, if any."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def is_malformed_key(error: Exception) -> bool:
    """Return whether the SDK refused an API key before any request; a failed request is the cause of the error."""
    return isinstance(error, wandb.errors.AuthenticationError) and error.__cause__ is None


def _is_usage(error: Exception) -> bool:
    return isinstance(error, (wandb.errors.UsageError, pydantic.ValidationError)) or is_malformed_key(error)
