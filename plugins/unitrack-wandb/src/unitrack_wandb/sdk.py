"""The one place that imports the SDK, so that by then its error reports are off and its core is this process's own."""

from __future__ import annotations

import os
import sys

# They would carry paths and messages of the user's to a third party. Who sets it keeps what they set.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

# A training process that uses wandb itself hands its wandb-core on to its children, a courier among them. That core
# dies with training, and keeps the ids of runs whose courier died.
if "wandb" not in sys.modules:
    os.environ.pop("WANDB_SERVICE", None)

import wandb
from wandb.proto import wandb_internal_pb2 as pb
from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
from wandb.sdk.mailbox import MailboxClosedError

__all__ = ["ArtifactManifestEntry", "MailboxClosedError", "pb", "wandb"]
