"""Texts that are too long for MLflow: shortened and marked there, whole in a JSON artifact."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

from unitrack.names import escape, shorten

_MARK = re.compile(r" \.\.\. \[\d+ characters, sha256 [0-9a-f]{12}; all of it is in (?P<file>unitrack/\S+\.json)\]\Z")
_NAME_LENGTH = 100


class Fitted(NamedTuple):
    """A text that fits, and the artifact (name, content) that holds the whole if it does not."""

    text: str
    file: str | None = None
    content: str = ""


def fit(text: str, value: Any, limit: int, folder: str, name: str) -> Fitted:
    """`text`, cut to `limit` characters and marked where it is longer; `value` is what the artifact gets.

    The mark holds a hash of the whole, so that different texts stay different.
    """
    if len(text) <= limit:
        return Fitted(text)
    file = f"{folder}{shorten(escape(name, 'A-Za-z0-9_.-'), _NAME_LENGTH)}.json"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    mark = f" ... [{len(text)} characters, sha256 {digest}; all of it is in {file}]"
    return Fitted(text[: limit - len(mark)] + mark, file, json.dumps(value, ensure_ascii=False))


def file_of(text: str, folder: str) -> str | None:
    """The artifact in `folder` that holds the whole of a text that `fit` has cut."""
    found = _MARK.search(text)
    return found["file"] if found and found["file"].startswith(folder) else None
