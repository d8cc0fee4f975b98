"""Arrays and tensors as NumPy arrays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from unitrack.errors import InvalidTypeError, MissingPackageError


def numpy(who: str) -> ModuleType:
    """NumPy. Raises `MissingPackageError` saying who needs it."""
    try:
        import numpy
    except ImportError:
        raise MissingPackageError(f"{who} needs NumPy: run `pip install numpy`") from None
    return numpy


def as_array(values: Any, what: str) -> Any:
    """An array, a tensor (copied from its device), or a sequence, as a NumPy array.

    Types of a few bits that NumPy does not know (bfloat16, float8 and the like) become float32, which holds them
    exactly. Raises `InvalidTypeError`, naming `what` it is, for rows of different lengths.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        try:
            values = values.numpy()
        except TypeError:  # torch has no NumPy type for bfloat16 and float8
            values = values.float().numpy()
    try:
        found = numpy("logging arrays").asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"{what} can't be made an array: {error}") from None
    return found.astype("float32") if found.dtype.isbuiltin == 2 else found  # of another package
