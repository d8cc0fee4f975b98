"""Images, sounds, histograms, texts and PR curves of event files that unitrack did not write, as artifacts.

They are in the event file, so an artifact says where there, as "tfevents:///runs/a/events.out.tfevents.1#96.0.0": at
which byte the event begins, the value in it, the item in that. `fetch` makes a file of it. TensorBoard's own
`migrate_value` brings the forms of torch and TensorFlow to one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.data_compat import migrate_value
from tensorboard.plugins.audio.metadata import PLUGIN_NAME as AUDIO
from tensorboard.plugins.histogram.metadata import PLUGIN_NAME as HISTOGRAMS
from tensorboard.plugins.image.metadata import PLUGIN_NAME as IMAGES
from tensorboard.plugins.pr_curve.metadata import PLUGIN_NAME as PR_CURVES
from tensorboard.plugins.text.metadata import PLUGIN_NAME as TEXT
from tensorboard.util.tensor_util import make_ndarray

from unitrack.names import escape, leads_out, shorten
from unitrack.records import PR_CURVE_COLUMNS, Artifact, ArtifactType
from unitrack_tensorboard.event_reader import Other, elements
from unitrack_tensorboard.frame_reader import payload_at
from unitrack_tensorboard.points import milliseconds_of

_log = logging.getLogger(__name__)

_SCHEME = "tfevents"
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}
"""Of an image, by how it begins."""
_LONGEST_PART = 200
"""Bytes of a file's or folder's name. A file system takes 255, and step and suffix come behind."""
_LONGEST_PATH = 2000
"""Bytes of a path. Linux takes 4096, and the run folder comes before."""


def media(other: Other) -> Iterator[Artifact]:
    """The artifacts of one value."""
    type_ = _TYPES.get(plugin_of(other.value) or other.plugin)
    if type_ is None:
        return
    step = other.event.step
    for item, content in enumerate(_contents(type_, other.value)):
        tag = other.value.tag
        name = f"{tag}/{item}" if item else tag
        place = f"{other.position}.{other.place}.{item}"
        yield Artifact(
            seq=0,
            time=milliseconds_of(other.event.wall_time),
            name=_name(name, step, _suffix(type_, content)),
            file=f"{_SCHEME}{other.path.absolute().as_uri().removeprefix('file')}#{place}",
            type=type_,
            size=len(content),
            step=step,
        )


def plugin_of(value: Any) -> str:
    """The dashboard of a value in one of the forms that name none; "" for others."""
    return _FORMS.get(value.WhichOneof("value"), "")


def fetch(artifact: Artifact, folder: Path) -> Path:
    """The file of an artifact, made in `folder` if it is in an event file. Raises `FileNotFoundError` if it is gone."""
    parts = urlsplit(artifact.file)
    if parts.scheme != _SCHEME:
        return Path(artifact.file)
    path = Path(url2pathname(parts.path))
    position, place, item = map(int, unquote(parts.fragment).split("."))
    payload = payload_at(path, position)
    if payload is None:
        raise FileNotFoundError(f"{path} no longer has the event at byte {position} with {artifact.name!r}")
    value = Event.FromString(payload).summary.value[place]
    target = folder / PurePosixPath(artifact.name).name
    target.write_bytes(_contents(artifact.type, value)[item])
    return target


def _contents(type_: ArtifactType, value: Any) -> list[bytes]:
    """What the items of a value are in a file of their own; none if it is not what its dashboard takes."""
    try:
        if elements(value.tensor) <= value.ByteSize():
            return _READERS[type_](value)
    except (TypeError, ValueError, LookupError):
        pass
    _log.warning("the value of %r is no %s, and was skipped", value.tag, type_)
    return []


def _images(value: Any) -> list[bytes]:
    return list(migrate_value(value).tensor.string_val[2:])  # after width and height


def _sounds(value: Any) -> list[bytes]:
    strings = migrate_value(value).tensor
    return list(strings.string_val[:: 2 if len(strings.tensor_shape.dim) > 1 else 1])  # each may have a label


def _texts(value: Any) -> list[bytes]:
    return [b"\n\n".join(value.tensor.string_val)]


def _histograms(value: Any) -> list[bytes]:
    bins = make_ndarray(migrate_value(value).tensor)
    if bins.ndim != 2 or bins.shape[1] != 3 or not len(bins):
        return []
    lefts, rights, counts = bins.T.tolist()
    return [json.dumps({"counts": counts, "edges": [*lefts, rights[-1]]}).encode()]


def _pr_curves(value: Any) -> list[bytes]:
    rows = make_ndarray(value.tensor)
    if rows.ndim != 2 or len(rows) != len(PR_CURVE_COLUMNS) - 1 or rows.shape[1] < 2:
        return []
    thresholds = np.linspace(0.0, 1.0, rows.shape[1])
    table = {"columns": PR_CURVE_COLUMNS, "data": np.vstack([thresholds, rows]).T.tolist()}
    return [json.dumps(table).encode()]


_FORMS: dict[str, str] = {"image": IMAGES, "audio": AUDIO, "histo": HISTOGRAMS}
_TYPES: dict[str, ArtifactType] = {
    IMAGES: "image",
    AUDIO: "audio",
    TEXT: "text",
    HISTOGRAMS: "histogram",
    PR_CURVES: "pr_curve",
}
_READERS: dict[ArtifactType, Callable[[Any], list[bytes]]] = {
    "image": _images,
    "audio": _sounds,
    "text": _texts,
    "histogram": _histograms,
    "pr_curve": _pr_curves,
}


def _suffix(type_: ArtifactType, content: bytes) -> str:
    if type_ == "image":
        return next((suffix for begin, suffix in _SUFFIXES.items() if content.startswith(begin)), "")
    return {"audio": ".wav", "text": ".md", "histogram": ".json", "pr_curve": ".json"}[type_]


def _name(tag: str, step: int, suffix: str) -> str:
    """A path among the artifacts. A tag that is none ("../x", "/", "a//b") is written in one part, with escapes."""
    path = escape(tag, r"\s\S")
    if not _is_path(path):
        path = shorten(escape(tag, r"a-zA-Z0-9_ \-"), _LONGEST_PART) or "untagged"
    return f"{path}-{step}{suffix}"


def _is_path(path: str) -> bool:
    if leads_out(path) or path[1:2] == ":" or "\\" in path or len(path.encode()) > _LONGEST_PATH:
        return False
    return all(part not in ("", ".") and len(part.encode()) <= _LONGEST_PART for part in path.split("/"))
