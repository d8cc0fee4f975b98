"""Artifacts: kept as files below the run's TensorBoard folder, and shown where a dashboard can show them."""

from __future__ import annotations

import io
import os
import shutil
import warnings
from pathlib import Path, PurePosixPath

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from unitrack.errors import RecordRejectedError
from unitrack.records import Artifact
from unitrack_tensorboard import summaries

MAX_SHOWN_IMAGE_BYTES = 16 * 1024 * 1024
"""TensorBoard holds ten images of a tag in memory, and its data server sends 256 MiB at most in one message."""
MAX_SHOWN_TEXT_BYTES = 256 * 1024
"""TensorBoard renders ten texts of a tag as markdown for each request; 1 MB takes it seconds."""

_PARTIAL = ".unitrack-partial"


def keep(source: Path, directory: Path, name: str) -> Path:
    """Link or copy a file or folder to `directory / name`, in place of what is there, and return that path.

    A file at `name` is whole at all times. Raises `RecordRejectedError` for what can't be kept, and
    `OSError` for trouble with the disk.
    """
    target = directory / _checked(name)
    partial = target.with_name(f".{target.name[:100]}{_PARTIAL}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RecordRejectedError(f"artifact {name!r}: a part of its path is already a file") from error
    try:
        _copy(source, partial)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        elif partial.is_dir():
            target.unlink(missing_ok=True)
        partial.replace(target)
    except FileNotFoundError as error:
        if source.exists():
            raise
        raise RecordRejectedError(f"artifact {name!r}: the run's copy {source} is gone") from error
    finally:
        _remove(partial)
    return target


def add_view(summary: Summary, tag: str, artifact: Artifact, path: Path) -> bool:
    """Add what the image or text dashboard can show of a kept artifact. False if that is nothing."""
    if path.is_dir():
        return False
    size = path.stat().st_size
    if artifact.type in ("figure", "image"):
        return size <= MAX_SHOWN_IMAGE_BYTES and _add_image(summary, tag, path.read_bytes())
    if artifact.type in ("text", "json") and size <= MAX_SHOWN_TEXT_BYTES:
        text = path.read_text(encoding="utf-8", errors="replace")
        markdown = path.suffix == ".md"
        language = path.suffix.removeprefix(".") if path.suffix != ".txt" else ""
        summaries.add_text(summary, tag, text if markdown else summaries.fenced(text, language))
        return True
    return False


def series(artifact: Artifact) -> str:
    """The name under which an artifact is shown: its own without the step that `log_figure` and `log_image` put in
    ("roc-7.png"), so that one slider shows all steps.
    """
    path = PurePosixPath(artifact.name)
    return path.with_stem(path.stem.removesuffix(f"-{artifact.step}") or path.stem).as_posix()


def _add_image(summary: Summary, tag: str, encoded: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the header is read, never the pixels
            with Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG", "GIF", "BMP", "WEBP")) as image:
                width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # an SVG, a PDF, a damaged file: kept, not shown
    summaries.add_image(summary, tag, encoded, width, height)
    return True


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise RecordRejectedError(f"artifact name {name!r} leads out of the run's artifacts")
    return path


def _copy(source: Path, target: Path) -> None:
    _remove(target)
    if not source.is_dir():
        _link_or_copy(str(source), str(target))
        return
    failures: list[OSError] = []

    def place(source: str, target: str) -> None:
        try:
            _link_or_copy(source, target)
        except OSError as error:
            failures.append(error)
            raise

    try:
        shutil.copytree(source, target, symlinks=True, copy_function=place)
    except shutil.Error as error:  # which doesn't tell a full disk from a missing permission
        raise (failures[0] if failures else error) from None


def _link_or_copy(source: str, target: str) -> None:
    """The run's copy never changes, so a hard link, which costs no space, is as good where there can be one."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
