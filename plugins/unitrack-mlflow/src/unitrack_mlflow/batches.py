"""Cutting what is to be sent into requests that MLflow accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from unitrack_mlflow import limits

Item = TypeVar("Item")

_FRAME = 120
"""Bytes of one entry in JSON besides its texts: field names, a time, a step, a number."""
_PER_CHARACTER = 6
"""A character outside ASCII is sent as a \\uXXXX."""


def chunks(items: Sequence[Item], most: int, texts: Callable[[Item], str]) -> Iterator[Sequence[Item]]:
    """`items` in order, at most `most` of them at a time and at most `REQUEST_BYTES` as JSON.

    `texts` gives all text of an item.
    """
    start = used = 0
    for end, item in enumerate(items):
        text = texts(item)
        cost = _FRAME + (len(text) if text.isascii() else _PER_CHARACTER * len(text))
        if end > start and (end - start == most or used + cost > limits.REQUEST_BYTES):
            yield items[start:end]
            start, used = end, 0
        used += cost
    if start < len(items):
        yield items[start:]
