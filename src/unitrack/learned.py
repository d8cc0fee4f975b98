"""Types that msgspec knows before threads use them.

msgspec (0.22) gathers what it must know of a struct at the first use, and a second thread that comes meanwhile takes
what is there for all there is: a segmentation fault (measured: 9 of 60 processes with four threads; with a decoder made
beforehand none).
"""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec

Type = TypeVar("Type")

_one_at_a_time = threading.RLock()


def learned(type_: Type) -> Type:
    """A type, once msgspec knows it: to decorate a struct that threads read, or to call before `msgspec.convert`."""
    with _one_at_a_time:
        msgspec.json.Decoder(type_)
    return type_
