"""Names as trackio takes them, and back.

A project is a file, of whose name trackio drops what is no letter, digit, "-" or "_"; an artifact's name has "." too.
trackio renames metrics called like its columns or with "__" in front, and refuses config keys that begin with "_"; such
a name gets "~" in front here, and so does one that has a "~" there already.
"""

from __future__ import annotations

import re

from unitrack.names import escape, shorten, unescape

RECORD = "unitrack"
"""The config key that holds what trackio has no place for; in a row, the time of the log call."""

_NEED_A_MARK = re.compile(r"(project|run|timestamp|step|time|metrics|unitrack)\Z|[_~]")
_ASCII = r"\x00-\x7f"
_IN_A_FOLDER = r"\x00-9;-\[\]-\ud7ff\ue000-\U0010ffff"
_MAX_ARTIFACT_NAME = 200  # characters: it becomes a part of a file's name


def project_name(name: str) -> str:
    """A project's name, different for different ones."""
    return escape(name, "A-Za-z0-9_-") or "default"


def artifact_name(name: str) -> str:
    """An artifact's name, different for different ones. The run's record keeps the original."""
    return shorten(escape(name, "A-Za-z0-9._-"), _MAX_ARTIFACT_NAME)


def file_name(name: str) -> str:
    """The name of an artifact's only file in it. trackio takes no path with a ":"."""
    return artifact_name(name.rpartition("/")[2])


def member_name(path: str) -> str:
    """Return the path of a file in a folder without what trackio refuses: drives, backslashes and broken Unicode.

    Different paths give different ones; `member_of` is the inverse.
    """
    return "/".join(escape(part, _IN_A_FOLDER) for part in path.split("/"))


def member_of(path: str) -> str:
    """Return the path that `member_name` was given."""
    return "/".join(unescape(part) for part in path.split("/"))


def short_member_name(path: str) -> str:
    """Return a path from `member_name` with its long parts cut, since trackio adds 41 bytes while it downloads."""
    return "/".join(
        shorten(escape(part, _ASCII), _MAX_ARTIFACT_NAME) if len(part.encode()) > _MAX_ARTIFACT_NAME else part
        for part in path.split("/")
    )


def key_of(name: str) -> str:
    """A metric's or a param's name as trackio keeps it."""
    return f"~{name}" if _NEED_A_MARK.match(name) else name


def time_text(time: int) -> str:
    """A time in milliseconds as a text that no dashboard takes for a number to draw."""
    return f"{time} ms"


def time_of(text: str) -> int:
    """The time that `time_text` was given."""
    return int(text.removesuffix(" ms"))


def name_of(key: str) -> str:
    """The name that `key_of` was given."""
    return key.removeprefix("~")
