"""Names as trackio takes them, and back.

A project is a file, of whose name trackio drops what is no letter, digit, "-" or "_"; an artifact's name has "." too.
trackio renames metrics called like its columns or with "__" in front, and refuses config keys that begin with "_"; such
a name gets "~" in front here, and so does one that has a "~" there already.
"""

from __future__ import annotations

import re

from unitrack.names import escape, shorten

RECORD = "unitrack"
"""The config key that holds what trackio has no place for."""

_NEED_A_MARK = re.compile(r"(project|run|timestamp|step|time|metrics|unitrack)\Z|[_~]")
_MAX_ARTIFACT_NAME = 200  # characters: it becomes a part of a file's name


def project_name(name: str) -> str:
    """A project's name, different for different ones."""
    return escape(name, "A-Za-z0-9_-") or "default"


def artifact_name(name: str) -> str:
    """An artifact's name, different for different ones. The run's record keeps the original."""
    return shorten(escape(name, "A-Za-z0-9._-"), _MAX_ARTIFACT_NAME)


def key_of(name: str) -> str:
    """A metric's or a param's name as trackio keeps it."""
    return f"~{name}" if _NEED_A_MARK.match(name) else name


def name_of(key: str) -> str:
    """The name that `key_of` was given."""
    return key.removeprefix("~")
