"""Media: figures, images, sounds, tables and the like as the bytes of a file in the field's standard format.

Each medium has a module of its own; this one knows the suffixes of their formats. The libraries that made the objects
are used and never required: a missing one raises an error that names the install command.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

Medium = Literal["figure", "image", "audio", "video", "html", "histogram", "table", "pr_curve", "embedding", "graph"]

_PICTURES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ico", ".ppm", ".pgm"))
_KNOWN: dict[Medium, frozenset[str]] = {
    "figure": _PICTURES | {".svg", ".svgz", ".pdf", ".eps", ".ps", ".pgf", ".html", ".json"},
    "image": _PICTURES,
    "audio": frozenset((".wav", ".mp3", ".ogg", ".oga", ".flac", ".m4a", ".aac", ".opus", ".aif", ".aiff", ".mid")),
    "video": frozenset((".gif", ".mp4", ".webm", ".ogg", ".ogv", ".mov", ".avi", ".mkv", ".m4v")),
    "html": frozenset((".html", ".htm")),
    "histogram": frozenset((".json",)),
    "table": frozenset((".json",)),
    "pr_curve": frozenset((".json",)),
    "embedding": frozenset((".json",)),
    "graph": frozenset((".json",)),
}


def with_suffix(name: str, medium: Medium, default: str) -> str:
    """Return a medium's name with a suffix: its own if that is a format of the medium, else `default` after it.

    Any other text after a dot is part of the name: "layer1.0.weight" becomes "layer1.0.weight.json".
    """
    own = PurePosixPath(name).suffix.lower()
    return name if own in _KNOWN[medium] or (own and own == default.lower()) else f"{name}{default}"
