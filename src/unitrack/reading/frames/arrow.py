"""A table in Arrow's memory layout, through nanoarrow."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unitrack.errors import MissingPackageError
from unitrack.hookspecs import install_command
from unitrack.reading.frames.column import Column, RepeatedText
from unitrack.system.installation import CORE


def arrow_array(columns: Mapping[str, Column], timezone: str | None = "UTC") -> Any:
    """Return a nanoarrow array of structs, one a row; columns of points are not copied.

    Raises `MissingPackageError` without nanoarrow.
    """
    try:
        import nanoarrow  # noqa: PLC0415  # optional
    except ImportError:
        command = install_command(f"{CORE}[frames]")
        raise MissingPackageError(f"Arrow tables need the package 'nanoarrow': run `{command}`") from None
    types = {
        "int": nanoarrow.int64(),
        "float": nanoarrow.float64(),
        "bool": nanoarrow.bool_(),
        "text": nanoarrow.large_string(),
        "time": nanoarrow.timestamp("ms", timezone=timezone or ""),
    }
    schema = nanoarrow.struct({name: types[column.kind] for name, column in columns.items()})
    children = [
        nanoarrow.c_array_from_buffers(types[column.kind], len(column.values), _buffers(column))
        for column in columns.values()
    ]
    length = len(next(iter(columns.values())).values) if columns else 0
    return nanoarrow.c_array_from_buffers(schema, length, [None], children=children)


def stream_of(array_of_structs: Any) -> Any:
    """Return a nanoarrow stream of one array; it can be called several times."""
    import nanoarrow  # noqa: PLC0415  # optional

    return nanoarrow.c_array_stream(array_of_structs)


def _buffers(column: Column) -> list[Any]:
    values = column.values
    if isinstance(values, memoryview):
        return [None, values]
    if isinstance(values, RepeatedText):
        return [None, *_repeated(values)]
    validity = _bits(value is not None for value in values) if None in values else None
    match column.kind:
        case "text":
            return [validity, *_text(values)]
        case "bool":
            return [validity, _bits(bool(value) for value in values)]
        case kind:
            filled = (0 if value is None else value for value in values)
            return [validity, array("d" if kind == "float" else "q", filled)]


def _bits(bits: Iterable[bool]) -> bytes:
    text = "".join("1" if bit else "0" for bit in bits)
    return int(text[::-1] or "0", 2).to_bytes((len(text) + 7) // 8, "little")


def _encode(text: str | None) -> bytes:
    return b"" if text is None else text.encode(errors="replace")


def _text(values: Sequence[str | None]) -> tuple[Any, bytes]:
    encoded = [_encode(value) for value in values]
    return array("q", itertools.accumulate(map(len, encoded), initial=0)), b"".join(encoded)


def _repeated(values: RepeatedText) -> tuple[Any, bytearray]:
    offsets, content = array("q", [0]), bytearray()
    for text, count in zip(values.texts, values.counts, strict=True):
        encoded, begin = _encode(text), len(content)
        content += encoded * count
        offsets.extend(range(begin + len(encoded), len(content) + 1, len(encoded)) if encoded else [begin] * count)
    return offsets, content
