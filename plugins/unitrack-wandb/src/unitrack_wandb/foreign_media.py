"""Media in rows that unitrack did not write: the SDK stores each as a dict with a `_type`, and mostly a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from unitrack.records import ArtifactType
from unitrack_wandb.offline_run import decode

_MARK = "._type"
_TYPES: dict[str, ArtifactType] = {
    "image-file": "image",
    "images/separated": "image",
    "audio-file": "audio",
    "video-file": "video",
    "videos": "video",
    "html-file": "html",
    "table-file": "table",
    "plotly-file": "figure",
}
"""W&B's types (0.31) whose files have a type of ours; the file of any other is a "file"."""


def media_columns(row: Mapping[str, str]) -> tuple[str, ...]:
    """The beginnings of the columns that describe media, such as "sample." of "sample.width": no metrics are there."""
    return tuple(key.removesuffix("_type") for key in row if key.endswith(_MARK))


def media_files(row: Mapping[str, str]) -> Iterator[tuple[str, ArtifactType]]:
    """The run files that the row shows, each with its type. A histogram has none."""
    for start in media_columns(row):
        type_ = _TYPES.get(str(decode(row[f"{start}_type"])), "file")
        found = [decode(row[column]) for name in ("path", "filenames") if (column := start + name) in row]
        for paths in found:
            for path in paths if isinstance(paths, list) else [paths]:
                yield str(path), type_
