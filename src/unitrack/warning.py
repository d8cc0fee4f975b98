"""Warnings that point at the caller's line, not at ours."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the nearest line outside of unitrack as the place."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def warn_from_thread(message: str, category: type[Warning]) -> None:
    """Warn where no line of the user's is to blame. A filter that makes errors of warnings must not end the thread."""
    with contextlib.suppress(Warning):
        warnings.warn_explicit(message, category, filename="unitrack", lineno=0)
