"""The one place that imports the SDK, so that its error reports are off by then."""

from __future__ import annotations

import os

# They would carry paths and messages of the user's to a third party. Who sets it keeps what they set.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb
from wandb.proto import wandb_internal_pb2 as pb

__all__ = ["pb", "wandb"]
