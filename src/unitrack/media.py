"""Figures and images as bytes of a file. The libraries that made them are used, never required."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, MissingPackageError


def figure_bytes(figure: Any, name: str) -> bytes:
    """A matplotlib or plotly figure in the format that the name's suffix says (PNG, PDF, SVG; HTML for plotly)."""
    suffix = PurePosixPath(name).suffix.lstrip(".").lower()
    buffer = io.BytesIO()
    if hasattr(figure, "savefig"):
        figure.savefig(buffer, format=suffix or "png", bbox_inches="tight")
        return buffer.getvalue()
    if hasattr(figure, "write_html"):
        if suffix in ("html", ""):
            return str(figure.to_html(include_plotlyjs="cdn")).encode()
        return bytes(figure.to_image(format=suffix))
    raise InvalidTypeError(f"figure {name!r} must be a matplotlib or plotly figure, got {type(figure).__name__}")


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
    picture = image if isinstance(image, Image.Image) else Image.fromarray(_pixels(image, name))
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()


def _pixels(image: Any, name: str) -> Any:
    try:
        import numpy as np
    except ImportError:
        raise MissingPackageError("log_image of an array needs NumPy: run `pip install numpy`") from None
    if hasattr(image, "detach"):  # a tensor
        image = image.detach().cpu().numpy()
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] not in (1, 3, 4)):
        raise InvalidValueError(f"image {name!r} must have shape (H, W), (H, W, C) or (C, H, W), got {pixels.shape}")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    elif np.issubdtype(pixels.dtype, np.floating):
        if not np.isfinite(pixels).all() or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 1:
            raise InvalidValueError(f"image {name!r}: float pixels must be in 0 ... 1, scale them first")
        pixels = np.round(pixels * 255).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        raise InvalidTypeError(f"image {name!r} must be uint8 or float, got {pixels.dtype}")
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
