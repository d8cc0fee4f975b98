"""Images, sounds, histograms and texts of others' event files, as artifacts.

They are in the event file, so an artifact says where there, as "tfevents:///runs/a/events.out.tfevents.1#7.0.0": the
event, the value in it, the item in that. `fetch` makes a file of it. TensorBoard's own `migrate_value` brings the forms
of torch and TensorFlow to one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.data_compat import migrate_value
from tensorboard.plugins.audio.metadata import PLUGIN_NAME as AUDIO
from tensorboard.plugins.histogram.metadata import PLUGIN_NAME as HISTOGRAMS
from tensorboard.plugins.image.metadata import PLUGIN_NAME as IMAGES
from tensorboard.plugins.text.metadata import PLUGIN_NAME as TEXT
from tensorboard.util.tensor_util import make_ndarray

from unitrack.artifacts import with_step
from unitrack.errors import InvalidValueError
from unitrack.names import escape, shorten
from unitrack.records import Artifact, ArtifactType
from unitrack.validation import check_artifact_name
from unitrack_tensorboard.event_file import payloads

_SCHEME = "tfevents"
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}
"""Of an image, by how it begins."""
_LONGEST_PART = 200
"""Characters of a name. A file system takes 255 bytes, and step and suffix come behind."""


def media(path: Path, number: int, place: int, event: Event, plugin: str) -> Iterator[Artifact]:
    """The artifacts of one value, shown by `plugin`: event `number` of the file, and value `place` in it."""
    type_ = _TYPES.get(plugin)
    if type_ is None:
        return
    tag = event.summary.value[place].tag
    for item, content in enumerate(_READERS[type_](event.summary.value[place])):
        name = f"{tag}/{item}" if item else tag
        yield Artifact(
            seq=0,
            time=round(event.wall_time * 1000),
            name=_name(name, event.step, _suffix(type_, content)),
            file=f"{_SCHEME}{path.absolute().as_uri().removeprefix('file')}#{number}.{place}.{item}",
            type=type_,
            size=len(content),
            step=event.step,
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
    number, place, item = map(int, unquote(parts.fragment).split("."))
    payload = next(itertools.islice(payloads(path), number, None), None)
    if payload is None:
        raise FileNotFoundError(f"{path} no longer has the event {number} with {artifact.name!r}")
    value = Event.FromString(payload).summary.value[place]
    target = folder / PurePosixPath(artifact.name).name
    target.write_bytes(_READERS[artifact.type](value)[item])
    return target


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


_FORMS: dict[str, str] = {"image": IMAGES, "audio": AUDIO, "histo": HISTOGRAMS}
_TYPES: dict[str, ArtifactType] = {IMAGES: "image", AUDIO: "audio", TEXT: "text", HISTOGRAMS: "histogram"}
_READERS: dict[ArtifactType, Callable[[Any], list[bytes]]] = {
    "image": _images,
    "audio": _sounds,
    "text": _texts,
    "histogram": _histograms,
}


def _suffix(type_: ArtifactType, content: bytes) -> str:
    if type_ == "image":
        return next((suffix for begin, suffix in _SUFFIXES.items() if content.startswith(begin)), "")
    return {"audio": ".wav", "text": ".md", "histogram": ".json"}[type_]


def _name(tag: str, step: int, suffix: str) -> str:
    """A path among the artifacts. A tag that is none ("../x", "/", "a//b") is written in one part, with escapes."""
    path = escape(tag, r"\s\S")
    try:
        if check_artifact_name(path) == path:
            return check_artifact_name(with_step(f"{path}{suffix}", step))
    except InvalidValueError:
        pass
    part = shorten(escape(tag, r"a-zA-Z0-9_ \-"), _LONGEST_PART) or "untagged"
    return with_step(f"{part}{suffix}", step)
