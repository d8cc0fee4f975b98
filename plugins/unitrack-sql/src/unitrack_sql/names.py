"""Texts as a database takes them, and back.

PostgreSQL's text holds no NUL, and no database holds half of a surrogate pair. Both are written as "_x0_"; a text that
looks so already is escaped as well, so different texts stay different. All other texts are stored as they are.
"""

from __future__ import annotations

import hashlib

from unitrack.names import escape, unescape

_ALLOWED = r"\x01-\ud7ff\ue000-\U0010ffff"


def stored(text: str) -> str:
    """Return a text as it is stored."""
    if "_x" not in text and "\0" not in text and _is_unicode(text):
        return text
    return escape(text, _ALLOWED)


def restored(text: str) -> str:
    """Return the text that `stored` was given."""
    return unescape(text) if "_x" in text else text


def digest(text: str) -> str:
    """Return a key of 32 characters for a text of any length: an index of PostgreSQL takes 2,700 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
