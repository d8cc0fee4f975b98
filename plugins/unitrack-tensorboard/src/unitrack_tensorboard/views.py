"""What TensorBoard's dashboards show of an artifact: images, videos, sounds, histograms, curves, tables and texts.

The file is there whatever is shown, so what a dashboard can't show, or only slowly, is left to the file.
"""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from unitrack.hookspecs import decode
from unitrack.records import PR_CURVE_COLUMNS, Artifact, ArtifactType, Histogram, Table
from unitrack_tensorboard import markdown, summaries

MAX_SHOWN_MEDIA_BYTES = 16 * 1024 * 1024
"""TensorBoard holds ten images of a tag in memory, and its data server sends 256 MiB at most in one message."""
MAX_SHOWN_TEXT_BYTES = 256 * 1024
"""TensorBoard renders ten texts of a tag as markdown for each request; 1 MB takes it seconds."""
MAX_READ_JSON_BYTES = 16 * 1024 * 1024
"""Of a table that is read to show its first rows: it takes seven times as much memory (measured)."""
MAX_SHOWN_ROWS = 200
"""Of a table. The dashboard has neither pages nor a search."""
MAX_SHOWN_TABLE_CHARACTERS = 64 * 1024
"""Of a table's markdown, which TensorBoard takes 4 ms a thousand to render (measured): ten of a tag take it 2 s."""
MAX_SHOWN_BINS = 10_000
"""Of a histogram. The dashboard draws 30, from all steps at once, which the browser gets as JSON."""

_Content = TypeVar("_Content")

_DASHBOARDS: dict[ArtifactType, str] = {
    "figure": "images",
    "image": "images",
    "video": "images",
    "audio": "audio",
    "histogram": "histograms",
    "table": "text",
    "pr_curve": "pr_curves",
    "text": "text",
    "json": "text",
}
_CALLED_LIKE = {".wav": "audio"} | dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"), "images")

_CALLED_BY_STEM = ("histogram", "pr_curve")
"""Their ".json" is not shown."""

_IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
"""What TensorBoard serves under its media type; a GIF moves."""


def add_view(summary: Summary, tag: str, artifact: Artifact, path: Path) -> bool:
    """Add what a dashboard can show of a kept artifact. False if that is nothing. Raises `OSError`."""
    view = _VIEWS.get(artifact.type)
    if view is None or path.is_dir():
        return False
    add, max_bytes = view
    return path.stat().st_size <= max_bytes and add(summary, tag, path)


def dashboard_of(type_: ArtifactType) -> str:
    """The dashboard that shows artifacts of a type; "" if none does."""
    return _DASHBOARDS.get(type_, "")


def series(artifact: Artifact) -> str:
    """The name under which an artifact is shown: its own without the step that `log_figure` and the like put in
    ("roc-7.png"), so that one slider shows all steps. A histogram's or a curve's is without ".json" too: a text of that
    name would take the tag away, as a tag is shown by the dashboard that had it first. So what is no image and is
    called like one has its type behind the name ("roc.png (text)"), and so on.
    """
    path = PurePosixPath(artifact.name)
    path = path.with_stem(path.stem.removesuffix(f"-{artifact.step}") or path.stem)
    name = (path.with_suffix("") if artifact.type in _CALLED_BY_STEM and path.suffix == ".json" else path).as_posix()
    suffix = path.suffix.lower()
    shown_by = _DASHBOARDS.get(artifact.type)
    is_called_right = _CALLED_LIKE.get(suffix) == (shown_by if shown_by in _CALLED_LIKE.values() else None)
    return name if is_called_right else f"{name} ({artifact.type})"


def _add_image(summary: Summary, tag: str, path: Path) -> bool:
    encoded = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the header is read, never the pixels
            with Image.open(io.BytesIO(encoded), formats=_IMAGE_FORMATS) as image:
                width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # an SVG, a PDF, an MP4, a damaged file: kept, not shown
    summaries.add_image(summary, tag, encoded, width, height)
    return True


def _add_audio(summary: Summary, tag: str, path: Path) -> bool:
    encoded = path.read_bytes()
    if encoded[:4] != b"RIFF" or encoded[8:12] != b"WAVE":
        return False  # the dashboard knows no other format
    summaries.add_audio(summary, tag, encoded)
    return True


def _add_text(summary: Summary, tag: str, path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".md":
        text = markdown.fenced(text, path.suffix.removeprefix(".") if path.suffix != ".txt" else "")
    summaries.add_text(summary, tag, text)
    return True


def _add_histogram(summary: Summary, tag: str, path: Path) -> bool:
    found = _decoded(path, Histogram)
    if found is None or len(found.edges) != len(found.counts) + 1 or len(found.counts) > MAX_SHOWN_BINS:
        return False
    bins = [
        (low, high, count) for (low, high), count in zip(itertools.pairwise(found.edges), found.counts, strict=True)
    ]
    summaries.add_histogram(summary, tag, bins)
    return True


def _add_table(summary: Summary, tag: str, path: Path) -> bool:
    found = _decoded(path, Table)
    if found is None or not found.columns or any(len(row) != len(found.columns) for row in found.data):
        return False
    lines = markdown.table_head(found.columns)
    size = sum(map(len, lines))
    for row in found.data[:MAX_SHOWN_ROWS]:
        line = markdown.table_row(row)
        size += len(line)
        if size > MAX_SHOWN_TABLE_CHARACTERS:
            break
        lines.append(line)
    if hidden := len(found.data) - (len(lines) - 2):
        lines += ["", f"... and {hidden:,} more rows, which the file has."]
    summaries.add_text(summary, tag, "\n".join(lines))
    return True


def _add_pr_curve(summary: Summary, tag: str, path: Path) -> bool:
    found = _decoded(path, Table)
    if found is None or tuple(found.columns) != PR_CURVE_COLUMNS or not 2 <= len(found.data) <= MAX_SHOWN_BINS:
        return False
    if any(
        len(row) != len(PR_CURVE_COLUMNS) or not all(type(cell) in (int, float) for cell in row) for row in found.data
    ):
        return False
    summaries.add_pr_curve(summary, tag, [row[1:] for row in found.data])  # the thresholds are known
    return True


def _decoded(path: Path, type: type[_Content]) -> _Content | None:
    try:
        return decode(path.read_bytes(), type)
    except msgspec.DecodeError:
        return None  # somebody else's file


_VIEWS: dict[ArtifactType, tuple[Callable[[Summary, str, Path], bool], int]] = {
    "figure": (_add_image, MAX_SHOWN_MEDIA_BYTES),
    "image": (_add_image, MAX_SHOWN_MEDIA_BYTES),
    "video": (_add_image, MAX_SHOWN_MEDIA_BYTES),
    "audio": (_add_audio, MAX_SHOWN_MEDIA_BYTES),
    "text": (_add_text, MAX_SHOWN_TEXT_BYTES),
    "json": (_add_text, MAX_SHOWN_TEXT_BYTES),
    "histogram": (_add_histogram, MAX_READ_JSON_BYTES),
    "table": (_add_table, MAX_READ_JSON_BYTES),
    "pr_curve": (_add_pr_curve, MAX_READ_JSON_BYTES),
}
"""How each type of artifact is shown, and up to which size of its file."""
