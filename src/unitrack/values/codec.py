"""Decoding into types, safe among threads.

msgspec (0.22) gathers what it must know of a struct at the first use, and a second thread that comes meanwhile takes
what is there for all there is: a segmentation fault (measured: 9 of 60 processes with four threads). Here one thread at
a time makes the decoder of a type, and it is kept.
"""

from __future__ import annotations

import os
import threading
from typing import Any, TypeVar, overload

import msgspec

Type = TypeVar("Type")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_lock = threading.RLock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@overload
def decode(data: bytes | str, type: type[Type]) -> Type: ...


@overload
def decode(data: bytes | str, type: Any) -> Any: ...


def decode(data: bytes | str, type: Any) -> Any:
    """Return what JSON says, as `type`: `msgspec.json.decode` for code that runs in threads.

    Raises `msgspec.DecodeError` for what is no JSON, and its subclass `msgspec.ValidationError` for another type.
    """
    return _decoder(type).decode(data)


@overload
def convert(value: object, type: type[Type], *, strict: bool = True) -> Type: ...


@overload
def convert(value: object, type: Any, *, strict: bool = True) -> Any: ...


def convert(value: object, type: Any, *, strict: bool = True) -> Any:
    """Return a plain value as `type`: `msgspec.convert` for code that runs in threads.

    Raises `msgspec.ValidationError`. With `strict=False`, the text of a number is one.
    """
    _decoder(type)
    return msgspec.convert(value, type, strict=strict)


def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    found = _decoders.get(type)
    if found is None:
        with _lock:
            found = _decoders.setdefault(type, msgspec.json.Decoder(type))
    return found
