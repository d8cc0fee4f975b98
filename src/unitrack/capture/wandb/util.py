"""`wandb.util`: what scripts use of it."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_lowercase + string.digits


def generate_id(length: int = 8) -> str:
    """Return a new id for a run."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
