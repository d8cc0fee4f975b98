"""Videos as an animated GIF, written by Pillow."""

from __future__ import annotations

import io
from typing import Any

from unitrack.errors import InvalidValueError
from unitrack.media.arrays import as_array
from unitrack.media.images import pillow, pixels
from unitrack.validation.arguments import as_positive

MAX_FPS = 1000
MAX_PAUSE_MS = 600_000
"""The longest pause between two frames: a GIF stores at most 65,535 hundredths of a second; rounded down."""


def video_bytes(video: Any, name: str, fps: float) -> bytes:
    """Return frames as an animated GIF.

    `video`: of shape (T, H, W), (T, H, W, C) or (T, C, H, W), uint8 or float in 0 ... 1. `fps`: frames per second.
    Raises `InvalidTypeError` or `InvalidValueError` for anything else, `MissingPackageError` without Pillow.
    """
    module = pillow("log_video of frames")
    pause = max(1, round(1000 / as_positive(fps, f"video {name!r}: fps", MAX_FPS)))
    if pause > MAX_PAUSE_MS:
        raise InvalidValueError(f"video {name!r}: fps must be at least {1000 / MAX_PAUSE_MS:.3f}, got {fps!r}")
    frames = as_array(video, f"video {name!r}")
    if frames.ndim not in (3, 4) or len(frames) == 0:
        raise InvalidValueError(f"video {name!r} must have shape (T, H, W, C) or (T, C, H, W), got {frames.shape}")
    pictures = [module.fromarray(pixels(frame, name)) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0)
    return buffer.getvalue()
