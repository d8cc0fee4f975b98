"""Scalars on a device (a GPU, JAX): how they are recognised, and how one is kept until it can be read.

Reading a scalar from a GPU waits until the device has computed it and everything queued before it. A log call only
queues a copy on the device; the thread of `unitrack.run.device_reader` reads the copy.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable
from typing import Any

from unitrack.errors import InvalidValueError

_NO_DEVICE = (int, float, str, bytes, type(None), numbers.Number)


def is_on_device(value: object) -> bool:
    """Return whether reading a scalar may have to wait for a device.

    True for a value whose `device` is not the CPU (torch, CuPy), for one that has an `item()` and no `device`, such as
    MLX's arrays, which are computed when they are read, and for one with a `block_until_ready()`: JAX computes
    asynchronously on the CPU as well.
    """
    if isinstance(value, _NO_DEVICE):
        return False
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return False
    if hasattr(value, "block_until_ready"):
        return True
    device = getattr(value, "device", None)
    if device is None:
        return hasattr(value, "item")
    if not hasattr(value, "item") and not hasattr(value, "__float__"):
        return False
    kind = getattr(device, "type", None) or str(device)  # "cpu", "cuda:0", TensorFlow's "/job:.../device:CPU:0"
    return str(kind).lower().rpartition("device:")[2].split(":")[0] != "cpu"


class DeviceScalar:
    """A copy of a value on its device, without its autograd graph; after `read`, the value itself."""

    __slots__ = ("_error", "_held", "_value", "_wait")

    def __init__(self, value: Any) -> None:
        self._held, self._wait = own_copy(value)
        self._value: Any = None
        self._error: BaseException | None = None

    def read(self) -> None:
        """Wait for the value and release the device's copy. Never raises: `value()` raises the error."""
        try:
            self._wait()
            self._value = self._held.item() if hasattr(self._held, "item") else float(self._held)
        except BaseException as error:  # kept for `value()`: the thread has other values to read
            self._error = error
        self._held, self._wait = None, _nothing

    def value(self, name: str) -> Any:
        """Return the value. Raises `InvalidValueError` if reading failed, for example by an asynchronous CUDA error."""
        if self._error is not None:
            raise InvalidValueError(
                f"metric {name!r} can't be read from its device: {type(self._error).__name__}: {self._error}"
            ) from self._error
        return self._value


def own_copy(value: Any) -> tuple[Any, Callable[[], object]]:
    """Return a copy that later in-place changes do not reach, and a function that waits until the copy is made."""
    detach = getattr(value, "detach", None)
    if detach is not None:
        value = detach()
        clone = getattr(value, "clone", None)
        value = value if clone is None else clone()
    elif hasattr(value, "__cuda_array_interface__") and hasattr(value, "copy"):
        value = value.copy()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.is_cuda:
        # The reader's thread has its own current stream, which does not wait for the work of this one.
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(value.device))
        return value, done.synchronize
    return value, _nothing


def _nothing() -> None:
    """Return at once: reading waits by itself."""
