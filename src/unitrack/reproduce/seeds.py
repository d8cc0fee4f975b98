"""One seed for every random number generator that is in use."""

from __future__ import annotations

import random
import sys


def seed_everything(seed: int) -> None:
    """Seed `random`, and NumPy and torch where they are imported. `seed`: 0 ... 2**32 - 1, NumPy's range."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
