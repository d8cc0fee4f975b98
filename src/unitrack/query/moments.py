"""Times and durations as a query spells them: '2026-11-01', '2026-11-01 14:30', '-7d', '1h30m'."""

from __future__ import annotations

import re
import time
from datetime import datetime

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
"""By unit."""

_PARTS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)", re.IGNORECASE)


def seconds_of(text: str) -> float | None:
    """Return a duration such as '90s', '2h' or '1h30m' in seconds; None if it is none."""
    place, total = 0, 0.0
    text = text.strip()
    while match := _PARTS.match(text, place):
        total += float(match[1]) * SECONDS[match[2].lower()]
        place = match.end()
    return total if text and place == len(text) else None


def milliseconds_of(text: str) -> int | None:
    """Return a time in milliseconds since the epoch; None if it is none.

    It is a date or a time in ISO 8601, local if it names no zone, or as long ago as '-7d' says; also 'now', 'today' and
    'yesterday', the latter two at midnight.
    """
    word = text.strip().lower()
    if word == "now":
        return int(time.time() * 1000)
    if word.startswith("-"):
        ago = seconds_of(word[1:])
        return None if ago is None else int((time.time() - ago) * 1000)
    midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if word == "yesterday":
            return int(midnight.timestamp() - SECONDS["d"]) * 1000
        moment = midnight if word == "today" else datetime.fromisoformat(text.strip())
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None
