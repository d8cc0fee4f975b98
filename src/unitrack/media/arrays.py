"""Arrays and tensors as NumPy arrays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from unitrack.errors import InvalidTypeError, MissingPackageError


def numpy(needed_by: str) -> ModuleType:
    """Return NumPy. Raises `MissingPackageError`, which says what needs NumPy."""
    try:
        import numpy  # noqa: PLC0415  # optional, and costs 90 ms
    except ImportError:
        raise MissingPackageError(f"{needed_by} needs NumPy: run `pip install numpy`") from None
    return numpy


def as_array(values: Any, what: str) -> Any:
    """Return an array, a tensor (copied from its device) or a sequence as a NumPy array.

    Number types that NumPy does not know (bfloat16, float8 and the like) become float32, which holds them exactly.
    Raises `InvalidTypeError` for rows of different lengths; `what` names the value in the message.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        try:
            values = values.numpy()
        except TypeError:  # torch has no NumPy type for bfloat16 and float8
            values = values.float().numpy()
    try:
        array = numpy("logging arrays").asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"{what} can't be made an array: {error}") from None
    return array.astype("float32") if array.dtype.isbuiltin == 2 else array  # 2: a type that another package defines
