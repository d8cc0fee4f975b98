"""The values that `wandb.log` takes, as unitrack's: W&B's own classes are told by their names, and never imported."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from unitrack.capture.captured_run import as_number, is_number
from unitrack.capture.report import Report
from unitrack.capture.session import session
from unitrack.run.media_values import Audio, Figure, Histogram, Html, Image, Media, Table, Video

_SMALL = 32
"""An array of more elements is a histogram in W&B, and a list of numbers otherwise."""


class Value(NamedTuple):
    """What is logged under one name."""

    name: str
    value: Any
    """A number, or a `Media`."""


def values_of(data: Mapping[str, Any], report: Report, prefix: str = "") -> Iterator[Value]:
    """Yield the numbers and media in what `wandb.log` was given; inner names are joined with dots, as W&B does.

    Text, booleans and objects that no backend can show are counted as not captured.
    """
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not hasattr(value, "_log_type"):
            yield from values_of(value, report, f"{name}.")
        elif is_number(value):
            yield Value(name, as_number(value))
        elif isinstance(value, list | tuple) and value and all(_medium(one, report, quiet=True) for one in value):
            for number, one in enumerate(value):
                medium = _medium(one, report)
                if medium is not None:
                    yield Value(f"{name}/{number}" if len(value) > 1 else name, medium)
        else:
            medium = _medium(value, report, name=name)
            if medium is not None:
                yield Value(medium_name(value, name), medium)


def medium_name(value: Any, name: str) -> str:
    """Return the name of a medium: W&B keeps the table behind a chart under one of its own."""
    return f"{name}_table" if type(value).__name__ in ("CustomChart", "Visualize") else name


def _medium(value: Any, report: Report, *, name: str = "", quiet: bool = False) -> Media | None:
    kind = type(value)
    home = value.__name__ if isinstance(value, ModuleType) else kind.__module__  # `plt` is a figure to W&B
    package = home.partition(".")[0]
    if isinstance(value, Media):
        return value
    if package in ("wandb", "unitrack"):
        return _of_wandb(value, report, quiet=quiet)
    if package == "PIL":
        return Image(value)
    if package in ("matplotlib", "plotly") and (found := _figure(value)) is not None:
        return found
    if package in ("pandas", "polars") and hasattr(value, "columns"):
        return Table(value)
    shape = getattr(value, "shape", None)
    if shape is not None and math.prod(shape) > _SMALL:
        return Histogram(_plain_array(value))
    if not quiet:
        what = "a list" if isinstance(value, list | tuple) or shape is not None else f"a {kind.__name__}"
        report.miss(f"wandb.log of {what} ({name!r})" if name else f"wandb.log of {what}")
    return None


def _figure(value: Any) -> Figure | None:
    if hasattr(value, "savefig") and not hasattr(value, "figure"):
        return Figure(value)
    if hasattr(value, "gcf"):  # `wandb.log({"plot": plt})`
        return Figure(value.gcf())
    figure = getattr(value, "figure", None)
    if hasattr(figure, "savefig"):
        return Figure(figure)
    return Figure(value) if hasattr(value, "to_plotly_json") else None


def _of_wandb(value: Any, report: Report, *, quiet: bool) -> Media | None:
    kind = type(value).__name__
    if hasattr(value, "as_media"):
        return _as_media(value)
    make = _KINDS.get(kind)
    if make is None:
        if not quiet:
            report.miss(f"wandb.{kind}")
        return None
    if kind in ("CustomChart", "Visualize") and not quiet:
        report.reduce(_chart_name(value), "the table behind it")
    return make(value)


def _as_media(value: Any) -> Media | None:
    """Return what a medium of the drop-in module holds."""
    found: Media | None = value.as_media()
    return found


def _chart_name(chart: Any) -> str:
    """Return what made a chart: "wandb.plot.confusion_matrix"."""
    spec = getattr(chart, "spec", None)
    parts = str(getattr(spec, "spec_name", "") or "").split("/")
    return f"wandb.plot.{parts[1]}" if len(parts) > 1 and parts[1] else "wandb.plot"


def _file(value: Any) -> Path:
    """Return the file of one of W&B's media. Its class has a public name for it only in some versions."""
    return Path(str(getattr(value, "_path", None) or value.path))


def _image(value: Any) -> Media:
    boxes = getattr(value, "_boxes", None) or {}
    masks = getattr(value, "_masks", None) or {}
    return Image(_file(value), getattr(value, "_caption", None), boxes=_boxes(boxes), masks=_masks(masks))


def _boxes(groups: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return W&B's boxes as they were given to it, those of them that hold what is needed."""
    found = {}
    for name, group in groups.items():
        data = [
            {"position": box["position"], "class_id": box["class_id"]}
            for box in getattr(group, "_val", [])
            if isinstance(box, Mapping) and box.get("domain") != "pixel" and "class_id" in box
        ]
        if data:
            labels = getattr(group, "_class_labels", None) or {}
            found[str(name)] = {"box_data": data, "class_labels": dict(labels)}
    return found or None


def _masks(groups: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return W&B's masks as they were given to it; one that was given as a file is left out."""
    given = {str(name): getattr(group, "_val", None) for name, group in groups.items()}
    wanted = ("mask_data", "class_labels")
    found = {name: {key: one[key] for key in wanted if key in one} for name, one in given.items() if one}
    return {name: one for name, one in found.items() if "mask_data" in one} or None


def _audio(value: Any) -> Media:
    return Audio(_file(value), caption=getattr(value, "_caption", None))


def _video(value: Any) -> Media:
    return Video(_file(value), caption=getattr(value, "_caption", None))


def _html(value: Any) -> Media:
    return Html(str(value.html) if getattr(value, "html", None) is not None else _file(value))


def _histogram(value: Any) -> Media:
    counts, edges = [float(one) for one in value.histogram], [float(one) for one in value.bins]
    if any(lower >= upper for lower, upper in itertools.pairwise(edges)):  # all samples are the same
        counts, edges = [sum(counts)], [edges[0] - 0.5, edges[-1] + 0.5]
    return Histogram((counts, edges))


def _table(value: Any) -> Media:
    rows = [[cell_of(one) for one in row] for row in value.data]
    return Table(rows, columns=[str(column) for column in value.columns])


def cell_of(value: Any) -> Any:
    """Return what a cell of a table holds; of a medium, its caption or kind."""
    if type(value).__module__.partition(".")[0] in ("wandb", "unitrack"):
        session.report.reduce("media in a wandb.Table", "their captions")
        return getattr(value, "_caption", None) or f"<{type(value).__name__}>"
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def _chart(value: Any) -> Media:
    return _table(value.table)


def _plain_array(value: Any) -> Any:
    found = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    return found.ravel() if hasattr(found, "ravel") else found


_KINDS: dict[str, Callable[[Any], Media]] = {
    "Image": _image,
    "Audio": _audio,
    "Video": _video,
    "Html": _html,
    "Histogram": _histogram,
    "Table": _table,
    "EvalTable": _table,
    "CustomChart": _chart,
    "Visualize": _chart,
}
