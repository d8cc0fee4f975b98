"""Sizes as text: `1GB`, `500 MB`, `10MiB`."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}

PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*[kKMGT]?i?B?\s*$"
"""The same for the JSON Schema."""


def parse_size(text: str) -> int | None:
    """Return the bytes that a text means, or None if it is no size. MB is 10**6 bytes and MiB is 2**20."""
    found = _SIZE.fullmatch(text)
    if found is None or (found[3] and not found[2]):
        return None
    unit: int = (1024 if found[3] else 1000) ** _POWERS[found[2]]
    return round(float(found[1]) * unit)
