"""Which TensorBoard tag a metric gets.

A tag is free text, and both readers took all of these as they are (measured): the empty one, "/lead", "a/", a NUL, a
thousand characters. But a tag belongs to the plugin that used it first: a scalar and an image under one tag hide each
other. So artifacts and what unitrack says of the run live under prefixes that no metric gets.
"""

from __future__ import annotations

from unitrack.names import escape, unescape

ARTIFACTS = "artifacts/"
"""Prefix of the tags that show artifacts."""
UNITRACK = "unitrack/"
"""Prefix of the tags that tell of the run."""
ARTIFACT = f"{UNITRACK}artifact"
"""Tag of the artifact records."""
RECORDS = f"{UNITRACK}records"
"""Tag of the other records."""
_RESERVED = (ARTIFACTS, UNITRACK, "_hparams_/")

_ANYTHING = r"\s\S"


def metric_tag(name: str) -> str:
    """The tag of a metric: its name. Only a name under a reserved prefix has its first character written as
    `unitrack.names.escape` writes it ("artifacts/size" becomes "_x61_rtifacts/size"), and one that looks escaped
    by itself is escaped, so that `metric_name` gives every name back.
    """
    tag = escape(name, _ANYTHING)
    return f"_x{ord(tag[0]):x}_{tag[1:]}" if tag.startswith(_RESERVED) else tag


def metric_name(tag: str) -> str:
    """The name that `metric_tag` was given."""
    return unescape(tag)
