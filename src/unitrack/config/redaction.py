"""Hides secrets where configuration is shown."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Any

HIDDEN = "***"

# Kept as text, so that importing this costs nothing: `re` compiles each once, when it is first used.
_SECRET_KEY = r"(?i)api_?key|access_?key|private_?key|token|passw|secret|credential|authorization"
_USERINFO = r"(?<=://)[^/?#\s]*@"
_SECRET_QUERY = r"(?i)([?&;][^=&\s]*(?:key|token|passw|secret|sig)[^=&\s]*=)[^&;\s]+"


def is_secret(key: str, globs: Iterable[str] = ()) -> bool:
    """Whether a key of this name holds a secret; `globs` are those of `safeguards.redact`."""
    return bool(re.search(_SECRET_KEY, key)) or any(fnmatch.fnmatch(key.lower(), glob.lower()) for glob in globs)


def redacted(value: Any, globs: Iterable[str] = ()) -> Any:
    """A copy with secrets replaced by "***": values of secret keys, and user:password and keys inside URLs."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if item is not None and is_secret(str(key), globs) else redacted(item, globs)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(item, globs) for item in value]
    if isinstance(value, str):
        return re.sub(_SECRET_QUERY, rf"\1{HIDDEN}", re.sub(_USERINFO, f"{HIDDEN}@", value))
    return value
