"""Names for backends that accept fewer of them: injective and reversible by construction."""

from __future__ import annotations

import hashlib
import re

_ESCAPE = re.compile(r"_x([0-9a-f]{1,6})_")


def escape(name: str, allowed: str) -> str:
    """`name` with each character outside the regex class `allowed` written as "_x<hex>_".

    `allowed` is the inside of a character class and must contain letters, digits and the underscore. A name that
    looks escaped by itself has that underscore escaped too, so `unescape` gives every name back: "mean@1" becomes
    "mean_x40_1".
    """
    looks_escaped = rf"_(?=x[0-9a-f]{{1,6}}(?:_|[^{allowed}]))"
    return re.sub(f"{looks_escaped}|[^{allowed}]", lambda found: f"_x{ord(found[0]):x}_", name)


def unescape(name: str) -> str:
    """The name that `escape` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)


def shorten(name: str, max_length: int) -> str:
    """`name` cut to `max_length` characters, its end replaced by a hash of the whole so that no two meet.

    Not reversible by itself: a sink that shortens keeps the original in its checkpoint.
    """
    if len(name) <= max_length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: max_length - len(digest) - 1]}-{digest}"
