"""Scalars that lie on a device: what they are known by, and how one is held until somebody may wait for it.

Reading a scalar of a GPU waits until the device has computed it, and everything that was queued before. A log call
only queues a copy on the device; `device_reader` reads that.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from unitrack.errors import InvalidValueError
from unitrack.journal import JournalWriter

_NO_DEVICE = (int, float, str, bytes, type(None), numbers.Number)


def is_on_device(value: object) -> bool:
    """Whether reading a scalar may have to wait for a device.

    True for what names a device other than the CPU (`value.device`: torch, CuPy), and for what has an `item()` and
    names none, such as MLX's arrays, which are computed when they are read. JAX computes asynchronously on the CPU as
    well, which its arrays tell by a `block_until_ready()`.
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
    """A copy of a value on its device, without the graph that computed it, until it is read."""

    __slots__ = ("_error", "_held", "_value", "_wait")

    def __init__(self, value: Any) -> None:
        self._held, self._wait = _own_copy(value)
        self._value: Any = None
        self._error: BaseException | None = None

    def read(self) -> None:
        """Wait for the value, and let go of the device's copy. Never raises: `value()` does."""
        try:
            self._wait()
            self._value = self._held.item() if hasattr(self._held, "item") else float(self._held)
        except BaseException as error:  # whatever it is, it is this value's, and the thread has others to read
            self._error = error
        self._held, self._wait = None, _nothing

    def value(self, name: str) -> Any:
        """What was read. Raises `InvalidValueError` if reading failed: an asynchronous error of the device, say."""
        if self._error is not None:
            raise InvalidValueError(
                f"metric {name!r} can't be read from its device: {type(self._error).__name__}: {self._error}"
            ) from self._error
        return self._value


class UnreadCall(msgspec.Struct, frozen=True):
    """A log call some of whose values are still on a device."""

    journal: JournalWriter
    time: int
    step: int
    metrics: Mapping[str, float | DeviceScalar]

    def read(self) -> None:
        """Wait for its values."""
        for value in self.metrics.values():
            if isinstance(value, DeviceScalar):
                value.read()


def _own_copy(value: Any) -> tuple[Any, Callable[[], object]]:
    """A copy that a later change in place does not reach, and what waits until the device has made it."""
    detach = getattr(value, "detach", None)
    if detach is not None:
        value = detach()
        clone = getattr(value, "clone", None)
        value = value if clone is None else clone()
    elif hasattr(value, "__cuda_array_interface__") and hasattr(value, "copy"):
        value = value.copy()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.is_cuda:
        # The reader's thread has a current stream of its own, which would not wait for this one's work.
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(value.device))
        return value, done.synchronize
    return value, _nothing


def _nothing() -> None:
    """Nothing to wait for: reading waits by itself."""
