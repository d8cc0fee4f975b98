"""Images of any kind as the bytes of a file, by Pillow."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, MissingPackageError
from unitrack.media.arrays import as_array, numpy


def image_bytes(image: Any, name: str) -> bytes:
    """An image in the format that the name's suffix says.

    `image`: a PIL image, or an array of shape (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4; uint8 in 0 ... 255,
    or float in 0 ... 1. Raises `InvalidTypeError` or `InvalidValueError` for others, `MissingPackageError` without
    Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackageError("log_image needs Pillow: run `pip install pillow`") from None
    suffix = PurePosixPath(name).suffix.lower() or ".png"
    kind = Image.registered_extensions().get(suffix)
    if kind is None:
        raise InvalidValueError(f"image {name!r}: {suffix!r} is no image format that Pillow knows; use .png")
    picture = image if isinstance(image, Image.Image) else Image.fromarray(pixels(image, name))
    if 0 in picture.size:
        raise InvalidValueError(f"image {name!r} has no pixels: its size is {picture.size}")
    buffer = io.BytesIO()
    try:
        picture.save(buffer, format=kind)
    except (OSError, ValueError) as error:  # a format does not hold every mode: no transparency in a JPEG
        raise InvalidValueError(f"image {name!r} can't be written as {kind}: {error}") from None
    return buffer.getvalue()


def pixels(image: Any, name: str) -> Any:
    """An array as uint8 of shape (H, W) or (H, W, C). Raises as `image_bytes`."""
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
