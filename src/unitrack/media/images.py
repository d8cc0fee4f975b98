"""Images as the bytes of a file, written by Pillow."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, MissingPackageError
from unitrack.media.arrays import as_array, numpy


def pillow(needed_by: str) -> Any:
    """Return `PIL.Image`. Raises `MissingPackageError`, which says what needs Pillow."""
    try:
        from PIL import Image  # noqa: PLC0415  # optional, and costs 16 ms
    except ImportError:
        raise MissingPackageError(f"{needed_by} needs Pillow: run `pip install pillow`") from None
    return Image


def image_bytes(image: Any, name: str) -> bytes:
    """Return an image in the format of the name's suffix; PNG without one.

    `image`: a PIL image, or an array of shape (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4; uint8 in 0 ... 255,
    or float in 0 ... 1. Raises `InvalidTypeError` or `InvalidValueError` for anything else, `MissingPackageError`
    without Pillow.
    """
    module = pillow("log_image")
    suffix = PurePosixPath(name).suffix.lower() or ".png"
    kind = module.registered_extensions().get(suffix)
    if kind is None:
        raise InvalidValueError(f"image {name!r}: {suffix!r} is no image format that Pillow knows; use .png")
    picture = image if isinstance(image, module.Image) else module.fromarray(pixels(image, name))
    if 0 in picture.size:
        raise InvalidValueError(f"image {name!r} has no pixels: its size is {picture.size}")
    buffer = io.BytesIO()
    try:
        picture.save(buffer, format=kind)
    except (OSError, ValueError) as error:  # the format does not take this mode: a JPEG holds no transparency
        raise InvalidValueError(f"image {name!r} can't be written as {kind}: {error}") from None
    return buffer.getvalue()


def pixels(image: Any, name: str) -> Any:
    """Return an array as uint8 of shape (H, W) or (H, W, C). Raises the same errors as `image_bytes`."""
    np = numpy("log_image of an array")
    found = as_array(image, f"image {name!r}")
    if found.ndim == 3 and found.shape[-1] not in (1, 3, 4) and found.shape[0] in (1, 3, 4):
        found = np.moveaxis(found, 0, -1)
    if found.ndim not in (2, 3) or (found.ndim == 3 and found.shape[-1] not in (1, 3, 4)):
        raise InvalidValueError(f"image {name!r} must have shape (H, W), (H, W, C) or (C, H, W), got {found.shape}")
    if found.dtype == np.bool_:
        found = found.astype(np.uint8) * 255
    elif np.issubdtype(found.dtype, np.floating):
        if not np.isfinite(found).all() or found.min(initial=0) < 0 or found.max(initial=0) > 1:
            raise InvalidValueError(f"image {name!r}: float pixels must be in 0 ... 1, scale them first")
        found = np.round(found * 255).astype(np.uint8)
    elif found.dtype != np.uint8:
        raise InvalidTypeError(f"image {name!r} must be uint8 or float, got {found.dtype}")
    return found[..., 0] if found.ndim == 3 and found.shape[-1] == 1 else found
