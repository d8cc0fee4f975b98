"""A device for the tests that has none: its scalars can be read only when it has come that far."""

from __future__ import annotations

import threading
import time
from typing import Any


class Device:
    """Counts who reads, and in what order. `open` is the gate; `seconds` is what a read takes beyond it."""

    def __init__(self, *, is_open: bool = True, seconds: float = 0.0) -> None:
        self.open = threading.Event()
        if is_open:
            self.open.set()
        self.seconds = seconds
        self.reads: list[Any] = []
        self.readers: set[int] = set()

    def scalar(self, value: Any) -> Scalar:
        """A scalar that was computed with a graph."""
        return Scalar(self, [value], graph=Graph())

    def read(self, value: Any) -> Any:
        """Block until the gate is open."""
        self.readers.add(threading.get_ident())
        assert self.open.wait(60)
        time.sleep(self.seconds)
        self.reads.append(value)
        if isinstance(value, BaseException):
            raise value
        return value


class Graph:
    """What a scalar was computed by: gigabytes, in real life."""


class Scalar:
    """Like torch's: reading blocks, `detach` shares the memory and drops the graph, `clone` has memory of its own."""

    shape = ()

    def __init__(self, device: Device, memory: list[Any], graph: Graph | None = None) -> None:
        self.device = "cuda:0"
        self.graph = graph
        self._device = device
        self._memory = memory

    def item(self) -> Any:
        """The value, when the device has come that far."""
        return self._device.read(self._memory[0])

    __float__ = item

    def __repr__(self) -> str:
        return f"tensor({self.item()})"  # as torch does: reading in disguise

    def detach(self) -> Scalar:
        """Without its graph."""
        return Scalar(self._device, self._memory)

    def clone(self) -> Scalar:
        """A copy."""
        return Scalar(self._device, [*self._memory], self.graph)

    def fill_(self, value: Any) -> None:
        """Change it in place."""
        self._memory[0] = value
