"""Annotations of an image, a sound or a video: caption, boxes and masks, as plain values that any backend can keep."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media.arrays import as_array
from unitrack.media.images import pillow
from unitrack.validation.arguments import as_text
from unitrack.validation.messages import brief
from unitrack.values.plain import plain_text, to_plain


def annotate(
    name: str,
    caption: str | None,
    boxes: Mapping[str, Any] | None = None,
    masks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the annotations of a medium as plain values; a mask as PNG in base64, its gray values the classes.

    Raises `InvalidTypeError` and `InvalidValueError`, which name the medium and the fault.
    """
    annotations: dict[str, Any] = {}
    if caption is not None:
        annotations["caption"] = as_text(caption, f"{name!r}: caption")
    for what, given in (("boxes", boxes), ("masks", masks)):
        if given is not None and not isinstance(given, Mapping):
            raise InvalidTypeError(f"image {name!r}: {what} must be a mapping by group, got {type(given).__name__}")
    if boxes:
        annotations["boxes"] = {plain_text(group): _boxes(name, group, given) for group, given in boxes.items()}
    if masks:
        annotations["masks"] = {plain_text(group): _mask(name, group, given) for group, given in masks.items()}
    return annotations


def _boxes(name: str, group: str, given: Any) -> dict[str, Any]:
    where = f"image {name!r}, boxes {brief(group)}"
    if not isinstance(given, Mapping) or not isinstance(given.get("box_data"), Sequence):
        raise InvalidTypeError(f'{where}: expected {{"box_data": [{{"position": {{...}}, "class_id": 1}}]}}')
    for box in given["box_data"]:
        if (
            not isinstance(box, Mapping)
            or not isinstance(box.get("position"), Mapping)
            or not isinstance(box.get("class_id"), int)
        ):
            raise InvalidTypeError(
                f'{where}: each box needs {{"position": {{"minX":, "maxX":, "minY":, "maxY":}}, "class_id": 1}}'
            )
    plain: dict[str, Any] = to_plain(dict(given))
    return plain


def _mask(name: str, group: str, given: Any) -> dict[str, Any]:
    where = f"image {name!r}, masks {brief(group)}"
    if not isinstance(given, Mapping) or "mask_data" not in given:
        raise InvalidTypeError(
            f'{where}: expected {{"mask_data": array of shape (H, W), "class_labels": {{1: "car"}}}}'
        )
    classes = as_array(given["mask_data"], f"{where}: mask_data")
    if classes.ndim != 2 or classes.dtype.kind not in "biu":
        raise InvalidTypeError(f"{where}: mask_data must be integers of shape (H, W), got {classes.shape}")
    if classes.size and not 0 <= int(classes.min()) <= int(classes.max()) <= 255:
        raise InvalidValueError(f"{where}: classes must be in 0 ... 255")
    buffer = io.BytesIO()
    pillow("log_image of masks").fromarray(classes.astype("uint8")).save(buffer, format="PNG")
    kept = {"png": base64.b64encode(buffer.getvalue()).decode()}
    return kept | {key: to_plain(value) for key, value in given.items() if key != "mask_data"}
