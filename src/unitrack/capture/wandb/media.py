"""W&B's media: what they are given is copied when they are made, as W&B does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.capture.report import Report
from unitrack.capture.session import session
from unitrack.run import media_values
from unitrack.run.media_values import Media


class WBValue:
    """Base of what `wandb.log` takes beside numbers."""

    def as_media(self) -> Media | None:
        """Return it as unitrack logs it, or None if it can't."""
        raise NotImplementedError


class Image(WBValue):
    """An image: a path, an array of shape (H, W) or (H, W, C), a tensor (C, H, W), a PIL image or a figure."""

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        self.caption = caption
        self.data: Any = data_or_path.data if isinstance(data_or_path, Image) else _image(data_or_path)
        self._boxes, self._masks = boxes, masks

    def as_media(self) -> Media:
        """Return the image with its caption, boxes and masks."""
        if hasattr(self.data, "savefig"):
            return media_values.Figure(self.data)
        return media_values.Image(self.data, self.caption, boxes=self._boxes, masks=self._masks)


def _image(data: Any) -> Any:
    if isinstance(data, str | os.PathLike):
        return Path(data)
    if hasattr(data, "savefig"):
        return data
    if hasattr(data, "getbands"):  # PIL
        return data.copy()
    array = _array(data)
    if array.dtype.kind == "b":
        return (array * 255).astype("uint8")
    if array.dtype.kind == "f" and array.size and (array.max() > 1 or array.min() < 0):
        if array.min() < 0 and array.max() <= 1:  # -1 ... 1
            return (array + 1) / 2
        return array.clip(0, 255).astype("uint8")
    return array if array.dtype.kind == "f" or array.dtype == "uint8" else array.clip(0, 255).astype("uint8")


class Audio(WBValue):
    """A sound: a path, or an array in -1 ... 1. `sample_rate`: in Hz."""

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        is_path = isinstance(data_or_path, str | os.PathLike)
        if not is_path and sample_rate is None:
            raise ValueError('Argument "sample_rate" is required when instantiating wandb.Audio with raw data.')
        self.data = Path(data_or_path) if is_path else _array(data_or_path)
        self._sample_rate, self._caption = sample_rate, caption

    def as_media(self) -> Media:
        """Return the sound with its caption."""
        return media_values.Audio(self.data, self._sample_rate or 44_100, self._caption)


class Video(WBValue):
    """A video: a path, or frames of shape (T, C, H, W). `fps`: frames per second, 4 by default."""

    def __init__(
        self, data_or_path: Any, caption: str | None = None, fps: int | None = None, format: str | None = None
    ) -> None:
        self._caption, self._fps = caption, fps or 4
        if hasattr(data_or_path, "read"):
            self.data: Any = _temporary(data_or_path.read(), f".{format or 'mp4'}")
        elif isinstance(data_or_path, str | os.PathLike):
            self.data = Path(data_or_path)
        else:
            array = _array(data_or_path)
            self.data = array[0] if array.ndim == 5 else array  # a batch of videos
            if array.ndim == 5 and len(array) > 1:
                session.report.reduce("wandb.Video of a batch", "its first video")

    def as_media(self) -> Media:
        """Return the video with its caption."""
        return media_values.Video(self.data, float(self._fps), self._caption)


class Html(WBValue):
    """A page: its text, the path of its file, or a file."""

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False) -> None:
        if hasattr(data, "read"):
            data = data.read()
        is_path = not data_is_not_path and isinstance(data, os.PathLike | str) and str(data).endswith(".html")
        is_file = is_path and os.path.exists(data)
        self.html = Path(data).read_text(encoding="utf-8") if is_file else str(data)

    def as_media(self) -> Media:
        """Return the page."""
        return media_values.Html(self.html)


class Histogram(WBValue):
    """A histogram of a sequence, or of `np_histogram`, the pair that `numpy.histogram` returns."""

    MAX_LENGTH = 512

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        import numpy as np  # noqa: PLC0415  # where there are histograms, it is there

        if np_histogram is not None:
            self.histogram, self.bins = (list(part) for part in np_histogram)
        else:
            counts, edges = np.histogram(_array(sequence), bins=num_bins)
            self.histogram, self.bins = counts.tolist(), edges.tolist()
        if len(self.histogram) + 1 != len(self.bins):
            raise ValueError("len(bins) must be len(histogram) + 1")

    def as_media(self) -> Media:
        """Return the histogram."""
        return media_values.Histogram((self.histogram, self.bins))


class NotKept(WBValue):
    """A medium that no backend of unitrack shows: `wandb.log` takes it, and the report counts it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def as_media(self) -> None:
        """Count it."""
        _count(session.report, type(self).__name__)

    @classmethod
    def from_numpy(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one."""
        return cls()

    from_file = from_point_cloud = from_rdkit = from_smiles = from_numpy


def _count(report: Report, kind: str) -> None:
    report.miss(f"wandb.{kind}")


class Object3D(NotKept):
    """A cloud of points or a mesh."""


class Molecule(NotKept):
    """A molecule."""


class Graph(NotKept):
    """A graph of a model."""


class Plotly(WBValue):
    """A plotly figure."""

    def __init__(self, val: Any) -> None:
        self._figure = val

    def as_media(self) -> Media:
        """Return the figure."""
        return media_values.Figure(self._figure)


class Classes:
    """The classes of boxes and masks."""

    def __init__(self, class_set: Sequence[Mapping[str, Any]]) -> None:
        self.class_set = list(class_set)


def _array(data: Any) -> Any:
    import numpy as np  # noqa: PLC0415  # where there are arrays, it is there

    if hasattr(data, "detach"):
        data = data.detach().cpu().numpy()
    return np.array(data)


def _temporary(content: bytes, suffix: str) -> Path:
    import tempfile  # noqa: PLC0415  # 4 ms

    with tempfile.NamedTemporaryFile(prefix="unitrack-", suffix=suffix, delete=False) as file:
        file.write(content)
    return Path(file.name)
