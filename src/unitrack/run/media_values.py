"""The media that `Run.log` takes: images, sounds, tables and the like, each with its annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unitrack.errors import InvalidTypeError

if TYPE_CHECKING:
    from unitrack.run.files import FileLog


class Media:
    """A value that is logged as a file."""

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """Log the medium under a name at a step."""
        raise NotImplementedError


@dataclass(frozen=True)
class Image(Media):
    """An image; see `Run.log_image` for `data`, `caption`, `boxes` and `masks`."""

    data: Any
    caption: str | None = None
    boxes: Mapping[str, Any] | None = None
    masks: Mapping[str, Any] | None = None

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_image`."""
        files.log_image(self.data, name, step, caption=self.caption, boxes=self.boxes, masks=self.masks)


@dataclass(frozen=True)
class Audio(Media):
    """A sound; see `Run.log_audio`. `sample_rate`: in Hz."""

    data: Any
    sample_rate: int = 44_100
    caption: str | None = None

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_audio`."""
        files.log_audio(self.data, name, step, sample_rate=self.sample_rate, caption=self.caption)


@dataclass(frozen=True)
class Video(Media):
    """A video; see `Run.log_video`. `fps`: frames per second."""

    data: Any
    fps: float = 10.0
    caption: str | None = None

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_video`."""
        files.log_video(self.data, name, step, fps=self.fps, caption=self.caption)


@dataclass(frozen=True)
class Histogram(Media):
    """A histogram; see `Run.log_histogram`."""

    values: Any
    bins: int = 64

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_histogram`."""
        files.log_histogram(self.values, name, step, bins=self.bins)


@dataclass(frozen=True)
class Table(Media):
    """A table; see `Run.log_table`."""

    data: Any
    columns: Sequence[str] | None = None

    def add_data(self, *row: Any) -> None:
        """Add a row of cells, before the table is logged. Raises `InvalidTypeError` if the data is no list of rows."""
        if not isinstance(self.data, list):
            raise InvalidTypeError(
                f"rows can be added to a list of rows, not to data of type {type(self.data).__name__}"
            )
        self.data.append(list(row))

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_table`."""
        files.log_table(self.data, name, step, columns=self.columns)


@dataclass(frozen=True)
class Html(Media):
    """A page; see `Run.log_html`."""

    data: Any

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_html`."""
        files.log_html(self.data, name, step)


@dataclass(frozen=True)
class Figure(Media):
    """A matplotlib or plotly figure; see `Run.log_figure`. `Run.log` also takes the figure itself."""

    figure: Any

    def log_to(self, files: FileLog, name: str, step: int) -> None:
        """See `Run.log_figure`."""
        files.log_figure(self.figure, name, step)


def split(values: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, Media]]]:
    """Return the numbers and the media among the values of `Run.log`, by name.

    Values of an inner mapping get the names "outer.inner", a list of media "name/0", "name/1". Any other value is
    returned among the numbers, whose checks refuse it. Raises `InvalidTypeError` if `values` is not a mapping.
    """
    if not isinstance(values, Mapping):
        raise InvalidTypeError(f"log takes a mapping of names to values, got {type(values).__name__}")
    numbers: dict[str, Any] = {}
    media: list[tuple[str, Media]] = []
    for key, value in values.items():
        name = f"{prefix}{key}" if prefix else key
        if isinstance(value, Mapping):
            inner, inner_media = split(value, f"{name}.")
            numbers |= inner
            media += inner_media
        elif (found := _as_media(value)) is not None:
            media.append((name, found))
        elif isinstance(value, list | tuple) and value and all(_as_media(one) is not None for one in value):
            media += [(f"{name}/{number}", one) for number, one in enumerate(map(_as_media, value)) if one]
        else:
            numbers[name] = value
    return numbers, media


def _as_media(value: Any) -> Media | None:
    if isinstance(value, Media):
        return value
    package = type(value).__module__.partition(".")[0]
    if package == "PIL":
        return Image(value)
    if package in ("matplotlib", "plotly") and (hasattr(value, "savefig") or hasattr(value, "to_plotly_json")):
        return Figure(value)
    return None
