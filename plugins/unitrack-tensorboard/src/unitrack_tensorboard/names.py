"""The TensorBoard tags of metrics and artifacts.

A tag is free text, and both readers took all of these as they are (measured): the empty one, "/lead", "a/", a NUL, a
thousand characters. But a tag belongs to the dashboard that used it first in a run: a scalar and an image under one
tag hide each other. So what comes second gets another tag, and what unitrack says of the run has a prefix of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unitrack.names import escape, unescape

UNITRACK = "unitrack/"
"""Prefix of the tags that tell of the run."""
ARTIFACT = f"{UNITRACK}artifact"
"""Tag of the artifact records."""
RECORDS = f"{UNITRACK}records"
"""Tag of the other records."""
_HPARAMS = "_hparams_/"
_NO_METRIC = ("artifacts/", UNITRACK, _HPARAMS)
"""Prefixes of no metric. Artifacts had the first one at first, and a run from then may go on."""
_NO_ARTIFACT = {
    *(f"{UNITRACK}{end}" for end in ("run", "params", "artifact", "records")),
    *(f"{_HPARAMS}{end}" for end in ("experiment", "session_start_info", "session_end_info")),
}

_ANYTHING = r"\s\S"


class TagNames:
    """The tags of one run, each in one dashboard only."""

    def __init__(self, points: Iterable[str] = (), media: Mapping[str, str] | None = None) -> None:
        """`points` are the tags of which there are points, those of `media` among them; `media` is what `media` was."""
        self.media = dict(media or {})
        """The dashboard of each tag that shows artifacts."""
        self._of_metrics = set(points) - self.media.keys()

    def of_metric(self, name: str) -> str:
        """The tag of a metric, which is its name where nothing is in the way; `metric_name` gives the name back."""
        tag = metric_tag(name)
        escaped = 0
        while tag in self.media:
            escaped += 1
            tag = "".join(f"_x{ord(character):x}_" for character in name[:escaped]) + escape(name[escaped:], _ANYTHING)
        self._of_metrics.add(tag)
        return tag

    def of_artifact(self, name: str, kind: str, dashboard: str) -> str:
        """The tag for what a dashboard shows of an artifact: its name, with its kind behind it where that is taken."""
        tag = name
        while tag in self._of_metrics or tag in _NO_ARTIFACT or self.media.get(tag, dashboard) != dashboard:
            tag = f"{tag} ({kind})"
        return tag

    def show(self, tag: str, dashboard: str) -> None:
        """The tag shows artifacts in this dashboard from now on."""
        self.media[tag] = dashboard


def metric_tag(name: str) -> str:
    """The tag of a metric: its name. Only a name under a reserved prefix has its first character written as
    `unitrack.names.escape` writes it ("unitrack/size" becomes "_x75_nitrack/size"), and one that looks escaped
    by itself is escaped, so that `metric_name` gives every name back.
    """
    tag = escape(name, _ANYTHING)
    return f"_x{ord(tag[0]):x}_{tag[1:]}" if tag.startswith(_NO_METRIC) else tag


def metric_name(tag: str) -> str:
    """The name that `metric_tag` was given."""
    return unescape(tag)
