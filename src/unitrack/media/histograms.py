"""Histograms as JSON: {"counts": [...], "edges": [...]}, with one more edge than counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media.arrays import as_array, numpy
from unitrack.records import Histogram
from unitrack.validation.messages import brief

MAX_BINS = 1_000_000


def histogram_bytes(values: Any, name: str, bins: int) -> bytes:
    """Return the histogram of samples in `bins` bins, or of the pair (counts, edges) that `numpy.histogram` returns.

    Raises `InvalidValueError` for samples that are not finite, and for counts and edges that do not fit together.
    """
    if isinstance(values, tuple) and len(values) == 2:
        counts, edges = (_floats(part, name) for part in values)
    else:
        samples = as_array(values, f"histogram {name!r}").ravel()
        np = numpy("log_histogram")
        if samples.dtype.kind not in "biuf":
            raise InvalidTypeError(f"histogram {name!r}: the samples must be numbers, got {samples.dtype}")
        if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= MAX_BINS:
            raise InvalidValueError(
                f"histogram {name!r}: bins must be an integer in 1 ... {MAX_BINS}, got {brief(bins)}"
            )
        if samples.size == 0 or not np.isfinite(samples).all():
            raise InvalidValueError(f"histogram {name!r}: the samples must be finite and at least one")
        if samples.dtype.kind == "b":
            samples = samples.astype("uint8")
        try:
            made = np.histogram(samples, bins=bins)
        except ValueError as error:  # samples so close together that float64 has no distinct edges between them
            raise InvalidValueError(f"histogram {name!r} of {bins} bins can't be made: {error}") from None
        counts, edges = (_floats(part, name) for part in made)
    rising = all(low < high for low, high in itertools.pairwise(edges))
    if len(edges) != len(counts) + 1 or not rising or not all(map(math.isfinite, (*counts, *edges))):
        raise InvalidValueError(
            f"histogram {name!r}: {len(counts)} counts need {len(counts) + 1} finite, rising edges, got {len(edges)}"
        )
    return msgspec.json.encode(Histogram(counts, edges)) + b"\n"


def _floats(values: Sequence[float], name: str) -> list[float]:
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError):
        raise InvalidTypeError(f"histogram {name!r}: counts and edges must be numbers, got {brief(values)}") from None
