"""Embeddings as tables: what a vector stands for, then its numbers in the columns "D1", "D2" and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media.arrays import as_array, numpy
from unitrack.media.tables import table_bytes
from unitrack.records import Table

_decoder = msgspec.json.Decoder(Table)


def embedding_bytes(
    vectors: Any,
    labels: Any,
    name: str,
    columns: Sequence[str] | None,
    clean: Callable[[list[Any], str], list[Any]],
) -> tuple[bytes, int]:
    """Return the table as JSON, and how many of its last columns are the vector.

    `labels`: a value for each vector, or a table as `media.tables` takes it; None for none. `clean`: see `table_bytes`.
    Raises `InvalidTypeError` and `InvalidValueError` as `Run.log_embedding` says.
    """
    array = as_array(vectors, f"embedding {name!r}")
    if array.dtype.kind not in "biuf":
        raise InvalidTypeError(f"embedding {name!r}: the vectors must be numbers, got {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidValueError(
            f"embedding {name!r}: the vectors must have the shape (samples, dimensions), got {array.shape}"
        )
    if not numpy("log_embedding").isfinite(array).all():
        raise InvalidValueError(f"embedding {name!r}: the vectors must be finite")
    texts = _labels(labels, name, columns, clean)
    if labels is not None and len(texts.data) != len(array):
        raise InvalidValueError(f"embedding {name!r}: {len(array)} vectors need as many labels, got {len(texts.data)}")
    rows = texts.data or [[] for _ in array]
    data = [[*row, *vector] for row, vector in zip(rows, array.astype("float64").tolist(), strict=True)]
    names = [*texts.columns, *(f"D{number}" for number in range(1, array.shape[1] + 1))]
    return msgspec.json.encode(Table(names, data)) + b"\n", array.shape[1]


def _labels(
    labels: Any, name: str, columns: Sequence[str] | None, clean: Callable[[list[Any], str], list[Any]]
) -> Table:
    if labels is None:
        return Table([], [])
    if hasattr(labels, "detach") or hasattr(labels, "dtype"):
        labels = as_array(labels, f"embedding {name!r}: labels").tolist()
    if columns is None and isinstance(labels, Sequence) and not isinstance(labels, str):
        scalar = (str, int, float, bool, type(None))
        if all(isinstance(label, scalar) for label in labels):
            labels, columns = [[label] for label in labels], ["label"]
    return _decoder.decode(table_bytes(labels, f"{name}: labels", columns, clean))
