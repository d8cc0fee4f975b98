"""Arrays and tensors as NumPy arrays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from unitrack.errors import MissingPackageError


def numpy(who: str) -> ModuleType:
    """NumPy. Raises `MissingPackageError` saying who needs it."""
    try:
        import numpy
    except ImportError:
        raise MissingPackageError(f"{who} needs NumPy: run `pip install numpy`") from None
    return numpy


def as_array(values: Any) -> Any:
    """An array, a tensor (copied from its device), or a sequence, as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return numpy("logging arrays").asarray(values)
