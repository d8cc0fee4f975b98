"""The one place that imports the SDK, so that by then its error reports are off and its core is this process's own."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

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

__all__ = ["ArtifactManifestEntry", "MailboxClosedError", "pb", "silenced", "wandb"]

_silences = 0
_silences_lock = threading.Lock()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Turn the SDK's messages off within the block.

    They are on or off for the whole process, which may have runs of the user's own. `Settings(silent=True)` turns them
    off only where it sets the SDK up (0.31, measured).
    """
    global _silences
    with _silences_lock:
        usual = wandb.setup().settings  # the first to set the SDK up turns the messages on
        wandb.termsetup(wandb.Settings(silent=True), None)
        _silences += 1
    try:
        yield
    finally:
        with _silences_lock:
            _silences -= 1
            if _silences == 0:
                wandb.termsetup(usual, None)
