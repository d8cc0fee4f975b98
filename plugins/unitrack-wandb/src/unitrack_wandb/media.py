"""Artifacts that W&B shows by itself: pictures, plots, sounds, videos, pages, histograms, tables. Each is one row."""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from unitrack.hookspecs import decode
from unitrack.names import shorten
from unitrack.records import Artifact, ArtifactType, Histogram, Table
from unitrack_wandb.sdk import wandb

_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"})
"""What `wandb.Image` takes from a path (0.31)."""
_VIDEOS = frozenset({".gif", ".mp4", ".webm", ".ogg"})
"""What `wandb.Video` takes from a path (0.31); from a path it needs no encoder."""
_SOUNDS = frozenset({".wav", ".mp3", ".ogg", ".flac", ".m4a", ".aac"})
"""`wandb.Audio` takes any file; these are what browsers play."""
_PAGE = ".html"
_KEY_CHARACTERS = 48
"""The SDK names a media file "<key>_<row>_<hash>.<suffix>", and a file name has 255 bytes: 48 times 4 for the key."""


def is_shown(artifact: Artifact) -> bool:
    """Return whether the artifact gets a row of its own: by its record alone, so that row numbers never change."""
    return _maker(artifact) is not None


def viewable(artifact: Artifact, path: Path, run: Any, row: int) -> Any:
    """The artifact at `path` as a value for row number `row`, its media file placed among those of `run`.

    Just its name where the file can't be read as what it is, or pillow is missing.
    """
    make = _maker(artifact)
    assert make is not None, f"{artifact.name} is not shown"
    try:
        value = make(path, artifact.annotations)
        # Placing it ourselves lets a redelivered row have its file again. It also keeps the SDK from making a W&B
        # artifact of each table, in a folder of the user's home.
        if hasattr(value, "bind_to_run"):
            value.bind_to_run(run, shorten(artifact.name, _KEY_CHARACTERS), row)
    except (ImportError, OSError, ValueError, TypeError, KeyError, msgspec.MsgspecError):
        return path.name
    return value


def _maker(artifact: Artifact) -> Callable[[Path, dict[str, Any]], Any] | None:
    suffix = Path(artifact.name).suffix.lower()
    for maker, types, suffixes in _MAKERS:
        if artifact.type in types and suffix in suffixes:
            return maker
    return None


def _image(path: Path, annotations: dict[str, Any]) -> Any:
    if importlib.util.find_spec("PIL") is None:
        raise ImportError("wandb.Image needs pillow")
    boxes = {group: _labelled(one) for group, one in annotations.get("boxes", {}).items()}
    masks = {group: _labelled(_with_classes(one)) for group, one in annotations.get("masks", {}).items()}
    return wandb.Image(str(path), caption=annotations.get("caption"), boxes=boxes or None, masks=masks or None)


def _with_classes(mask: dict[str, Any]) -> dict[str, Any]:
    """Return a mask with its classes as an array of uint8 of shape (H, W), "mask_data", in place of "png"."""
    import numpy as np  # noqa: PLC0415  # 100 ms, and an optional package: only for a mask
    from PIL import Image  # noqa: PLC0415  # an optional package of the SDK

    others = {key: value for key, value in mask.items() if key != "png"}
    return others | {"mask_data": np.asarray(Image.open(io.BytesIO(base64.b64decode(mask["png"]))))}


def _labelled(group: dict[str, Any]) -> dict[str, Any]:
    """Return boxes or a mask with the numbers of classes as W&B wants them; JSON has made them text."""
    labels = group.get("class_labels")
    return group | {"class_labels": {int(number): label for number, label in labels.items()}} if labels else group


def _page(path: Path, annotations: dict[str, Any]) -> Any:
    if path.suffix != _PAGE:
        raise ValueError("wandb.Html would take the path for the text of a page")
    return wandb.Html(str(path), inject=False)  # else it links to a style sheet on the web


def _sound(path: Path, annotations: dict[str, Any]) -> Any:
    return wandb.Audio(str(path), caption=annotations.get("caption"))


def _video(path: Path, annotations: dict[str, Any]) -> Any:
    return wandb.Video(str(path), caption=annotations.get("caption"))


def _histogram(path: Path, annotations: dict[str, Any]) -> Any:
    """W&B has at most 512 bins; more are joined, each with its neighbours."""
    found = decode(path.read_bytes(), Histogram)
    if len(found.edges) != len(found.counts) + 1:
        raise ValueError("counts and edges don't fit together")
    width = -(-len(found.counts) // wandb.Histogram.MAX_LENGTH) or 1
    counts = [sum(found.counts[start : start + width]) for start in range(0, len(found.counts), width)]
    edges = [*found.edges[:-1:width], found.edges[-1]]
    return wandb.Histogram(np_histogram=(counts, edges))


def _table(path: Path, annotations: dict[str, Any]) -> Any:
    """W&B shows its first 10,000 rows."""
    found = decode(path.read_bytes(), Table)
    if any(len(row) != len(found.columns) for row in found.data):
        raise ValueError("rows and columns differ in length")
    return wandb.Table(columns=list(found.columns), data=found.data, allow_mixed_types=True)


_MAKERS: tuple[tuple[Callable[[Path, dict[str, Any]], Any], tuple[ArtifactType, ...], frozenset[str]], ...] = (
    (_image, ("figure", "image"), _IMAGES),
    (_page, ("figure", "html"), frozenset({_PAGE})),
    (_sound, ("audio",), _SOUNDS),
    (_video, ("video",), _VIDEOS),
    (_histogram, ("histogram",), frozenset({".json"})),
    (_table, ("table", "pr_curve", "embedding"), frozenset({".json"})),
)
