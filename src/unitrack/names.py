"""Names: escaping and shortening them for backends that accept fewer, and finding the one that a typo meant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_ESCAPE = re.compile(r"_x([0-9a-f]{1,6})_")


def escape(name: str, allowed: str) -> str:
    """Return `name` with each character outside the regex class `allowed` written as "_x<hex>_".

    `allowed` is the inside of a character class and must contain letters, digits and the underscore. "mean@1" becomes
    "mean_x40_1". In a name that already looks escaped the underscore is escaped as well, so different names stay
    different, and `unescape` restores every name.
    """
    looks_escaped = rf"_(?=x[0-9a-f]{{1,6}}(?:_|[^{allowed}]))"
    return re.sub(f"{looks_escaped}|[^{allowed}]", lambda found: f"_x{ord(found[0]):x}_", name)


def unescape(name: str) -> str:
    """Return the name that `escape` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)


def shorten(name: str, max_length: int) -> str:
    """Return `name` cut to `max_length` characters, its end replaced by a hash, so that names stay different.

    It can't be reversed: a sink that shortens names stores the originals in its checkpoint.
    """
    if len(name) <= max_length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: max_length - len(digest) - 1]}-{digest}"


def leads_out(name: str) -> bool:
    """Return whether a name leads out of the folder it is put in, or to that folder itself. Both slashes count."""
    path = PurePosixPath(posix := name.replace("\\", "/"))
    return not posix.strip("/ ") or path.is_absolute() or ".." in path.parts or "\0" in posix


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was probably meant to be, ignoring case; None if none is similar."""
    import difflib  # noqa: PLC0415  # difflib costs 1 ms, and only a wrong word needs it

    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None
