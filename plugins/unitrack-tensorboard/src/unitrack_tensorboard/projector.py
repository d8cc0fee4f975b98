"""Embeddings for TensorBoard's projector, which reads the files that a run's `projector_config.pbtxt` names.

All of it is written anew for an embedding that is delivered again, so twice is once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from unitrack.hookspecs import decode
from unitrack.records import DIMENSIONS, Artifact, Table

CONFIG = "projector_config.pbtxt"
FOLDER = "projector"
MAX_SHOWN_BYTES = 64 * 1024 * 1024
"""Of an embedding's file. The browser gets all of it, and projects at most 10,000 points well."""


def project(root: Path, artifact: Artifact, path: Path) -> bool:
    """Show an embedding that is kept at `path` in the projector of the run in `root`; return whether it can be.

    Raises `OSError`.
    """
    found = _embedding(artifact, path)
    if found is None:
        return False
    labels, vectors = found
    name = artifact.name.removesuffix(".json")
    inside = PurePosixPath(FOLDER, name)
    (root / inside).mkdir(parents=True, exist_ok=True)
    _write(root / inside / "tensors.tsv", vectors)
    if labels:
        _write(root / inside / "metadata.tsv", labels)
    config = _read(root / CONFIG)
    others = [one for one in config.embeddings if one.tensor_name != name]
    del config.embeddings[:]
    config.embeddings.extend(others)
    added = config.embeddings.add(tensor_name=name, tensor_path=str(inside / "tensors.tsv"))
    if labels:
        added.metadata_path = str(inside / "metadata.tsv")
    partial = root / f".{CONFIG}.partial"
    partial.write_text(text_format.MessageToString(config), encoding="utf-8")
    partial.replace(root / CONFIG)
    return True


def _embedding(artifact: Artifact, path: Path) -> tuple[list[Sequence[Any]], list[Sequence[Any]]] | None:
    """Return the labels, which have a head if they have several columns, and the vectors; None for anything else."""
    if path.is_dir() or path.stat().st_size > MAX_SHOWN_BYTES:
        return None
    try:
        table = decode(path.read_bytes(), Table)
    except msgspec.DecodeError:
        return None
    dimensions, width = artifact.annotations.get(DIMENSIONS), len(table.columns)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= width:
        return None
    first = width - dimensions
    if not table.data or any(len(row) != width or not _are_numbers(row[first:]) for row in table.data):
        return None
    labels: list[Sequence[Any]] = [row[:first] for row in table.data] if first else []
    return ([table.columns[:first], *labels] if first > 1 else labels), [row[first:] for row in table.data]


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(type(value) in (int, float) for value in values)


def _write(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    path.write_text("".join("\t".join(map(_cell, row)) + "\n" for row in rows), encoding="utf-8", errors="replace")


def _cell(value: Any) -> str:
    return " ".join(str(value).split()) or "-"  # an empty line would be left out


def _read(path: Path) -> Any:
    config = ProjectorConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (FileNotFoundError, UnicodeDecodeError, text_format.ParseError):
        return ProjectorConfig()
    return config
