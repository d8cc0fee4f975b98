"""Figures of matplotlib and plotly as the bytes of a file."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError


def figure_bytes(figure: Any, name: str) -> bytes:
    """Return a matplotlib or plotly figure in the format of the name's suffix (PNG, PDF, SVG; HTML for plotly).

    Raises `InvalidTypeError` for any other object, `InvalidValueError` for a format that its library can't write.
    """
    suffix = PurePosixPath(name).suffix.lstrip(".").lower()
    try:
        return _written(figure, name, suffix)
    except ValueError as error:
        raise InvalidValueError(f"figure {name!r} can't be written as {suffix!r}: {error}") from error


def _written(figure: Any, name: str, suffix: str) -> bytes:
    buffer = io.BytesIO()
    if hasattr(figure, "savefig"):
        figure.savefig(buffer, format=suffix or "png", bbox_inches="tight")
        return buffer.getvalue()
    if hasattr(figure, "write_html"):
        if suffix in ("html", ""):
            return str(figure.to_html(include_plotlyjs="cdn")).encode()
        return bytes(figure.to_image(format=suffix))
    raise InvalidTypeError(f"figure {name!r} must be a matplotlib or plotly figure, got {type(figure).__name__}")
