"""Sound as a WAV file of 16-bit samples."""

from __future__ import annotations

import io
import wave
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media.arrays import as_array, numpy
from unitrack.validation.arguments import as_positive

MAX_CHANNELS = 64
"""An array with more channels is not a sound; it is most likely an image."""
MAX_RATE_HZ = 10_000_000


def audio_bytes(sound: Any, name: str, sample_rate: int) -> bytes:
    """Return a sound as the bytes of a WAV file.

    `sound`: of shape (samples,), (samples, channels) or (channels, samples), float in -1 ... 1 or int16; the shorter
    axis is that of the channels. `sample_rate`: in Hz. Raises `InvalidTypeError` or `InvalidValueError` for anything
    else.
    """
    np = numpy("log_audio of an array")
    samples = as_array(sound, f"audio {name!r}")
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise InvalidValueError(f"audio {name!r} has shape {samples.shape}, not (samples,) or (samples, channels)")
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:
        samples = samples.T
    if samples.ndim == 2 and samples.shape[1] > MAX_CHANNELS:
        raise InvalidValueError(f"audio {name!r} of shape {samples.shape} would have more than {MAX_CHANNELS} channels")
    if np.issubdtype(samples.dtype, np.floating):
        if not np.isfinite(samples).all() or np.abs(samples).max() > 1:
            raise InvalidValueError(f"audio {name!r}: float samples must be in -1 ... 1, scale them first")
        samples = np.round(samples * 32767).astype("<i2")
    elif samples.dtype != np.int16:
        raise InvalidTypeError(f"audio {name!r} must be float or int16, got {samples.dtype}")
    rate = round(as_positive(sample_rate, f"audio {name!r}: sample_rate", MAX_RATE_HZ))
    if rate < 1:
        raise InvalidValueError(f"audio {name!r}: sample_rate must be at least 1 Hz, got {sample_rate!r}")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()
