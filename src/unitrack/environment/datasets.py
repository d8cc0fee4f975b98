"""What a dataset is: its schema and its rows, and the digest of one that is in memory."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.limits import MAX_LISTED
from unitrack.records import Column
from unitrack.values.plain import plain_text

_CSV = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
MAX_COUNTED_BYTES = 2**30
"""Text files whose rows are counted: a GiB of CSV takes 10 s."""
_ROWS_AT_A_TIME = 100_000


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of a dataset, its rows and its columns; None and empty where it has none, or they are not known."""

    kind: str
    rows: int | None = None
    columns: tuple[Column, ...] = ()


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset in memory."""

    shape: Shape
    size: int
    """Bytes, about."""
    digest: Callable[[], str]
    """Return the SHA-256 of its values in hexadecimal; it takes about a second for a GB."""


def kind_of(path: Path) -> str:
    """Return the kind of a dataset on disk."""
    if path.is_dir():
        return "folder"
    suffix = path.suffix.lower()
    return suffix[1:] if suffix in (*_CSV, *_LINES, ".parquet", ".npy") else "file"


def shape_of(path: Path) -> Shape:
    """Return the schema and the rows of a file, as far as its format tells them and the library for it is installed.

    A file that is not what its name says is a plain file.
    """
    kind = kind_of(path)
    try:
        if kind in ("csv", "tsv"):
            return _shape_of_csv(path, kind)
        if kind in ("jsonl", "ndjson"):
            return Shape(kind=kind, rows=_count_lines(path))
        if kind == "parquet" and importlib.util.find_spec("pyarrow"):
            return _shape_of_parquet(path)
        if kind == "npy" and importlib.util.find_spec("numpy"):
            return _shape_of_npy(path)
    except Exception as error:  # each library has its own errors for a damaged file
        if isinstance(error, OSError) and error.errno:
            raise
        return Shape(kind="file")
    return Shape(kind=kind)


def as_frame(data: Any) -> Frame:
    """Return a frame or an array as a dataset. Raises `InvalidTypeError` for anything else."""
    library = type(data).__module__.partition(".")[0]
    name = type(data).__name__
    if library == "pandas" and name in ("DataFrame", "Series"):
        return _pandas(data)
    if library == "polars":
        if name == "LazyFrame":
            raise InvalidValueError("log_dataset: a polars LazyFrame has no rows yet; collect() it, or log its file")
        if name in ("DataFrame", "Series"):
            return _polars(data)
    if library == "pyarrow" and name in ("Table", "RecordBatch"):
        return _arrow(data)
    if library == "numpy" and name in ("ndarray", "memmap", "recarray"):
        return _numpy(data)
    raise InvalidTypeError(
        "log_dataset takes a path, a frame of pandas, polars or pyarrow, or a NumPy array, "
        f"got {library}.{name}; save it to a file and log that"
    )


def _shape_of_csv(path: Path, kind: str) -> Shape:
    import csv  # noqa: PLC0415  # 1 ms, in the courier

    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter=_CSV[f".{kind}"])
        header = next(reader, [])
        counted = path.stat().st_size <= MAX_COUNTED_BYTES
        rows = sum(1 for row in reader if row) if counted else None
    return Shape(kind=kind, rows=rows, columns=tuple(Column(plain_text(name)) for name in header[:MAX_LISTED]))


def _count_lines(path: Path) -> int | None:
    if path.stat().st_size > MAX_COUNTED_BYTES:
        return None
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _shape_of_parquet(path: Path) -> Shape:
    import pyarrow.parquet  # noqa: PLC0415  # an optional package

    with pyarrow.parquet.ParquetFile(path) as file:
        return Shape(kind="parquet", rows=file.metadata.num_rows, columns=_arrow_columns(file.schema_arrow))


def _shape_of_npy(path: Path) -> Shape:
    import numpy as np  # noqa: PLC0415  # an optional package

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return Shape(kind="npy", rows=len(array) if array.ndim else None, columns=_array_columns(array))


def _arrow_columns(schema: Any) -> tuple[Column, ...]:
    return tuple(Column(plain_text(field.name), str(field.type)) for field in list(schema)[:MAX_LISTED])


def _array_columns(array: Any) -> tuple[Column, ...]:
    if array.dtype.names:
        return tuple(Column(plain_text(name), str(array.dtype[name])) for name in array.dtype.names[:MAX_LISTED])
    return (Column("", f"{array.dtype}{list(array.shape[1:]) or ''}"),)


def _pandas(frame: Any) -> Frame:
    if type(frame).__name__ == "Series":
        frame = frame.to_frame()
    names = [plain_text(name) for name in frame.columns]
    types = [str(one) for one in frame.dtypes]

    def digest() -> str:
        from pandas.util import hash_pandas_object  # noqa: PLC0415  # pandas is there already

        whole = hashlib.sha256(msgspec.json.encode([names, types]))
        for start in range(0, len(frame), _ROWS_AT_A_TIME):
            rows = frame.iloc[start : start + _ROWS_AT_A_TIME]
            try:
                hashes = hash_pandas_object(rows)
            except TypeError:  # lists and the like in a column
                hashes = hash_pandas_object(rows.map(repr))
            whole.update(hashes.to_numpy().tobytes())
        return whole.hexdigest()

    columns = tuple(map(Column, names[:MAX_LISTED], types))
    size = int(frame.memory_usage(deep=False).sum())
    return Frame(shape=Shape(kind="pandas", rows=len(frame), columns=columns), size=size, digest=digest)


def _polars(frame: Any) -> Frame:
    if type(frame).__name__ == "Series":
        frame = frame.to_frame()

    def digest() -> str:
        import polars  # noqa: PLC0415  # it is there already

        whole = _Hashing()
        oldest = polars.CompatLevel.oldest()  # its texts lie one after the other, wherever they came from
        for series in frame.iter_columns():  # a column at a time, so that no copy of all is made
            # Without what lies below a null, and without bits that fill up a byte: they may be anything.
            values = series.drop_nulls()
            values = values.cast(polars.UInt8) if values.dtype == polars.Boolean else values
            for part in (values, series.is_null().cast(polars.UInt8)):
                one = part.extend_constant(None, 1).rechunk().to_frame()  # a mask of nulls is always there
                one.write_ipc_stream(whole, compression="uncompressed", compat_level=oldest)
        return whole.hexdigest()

    columns = tuple(Column(plain_text(name), str(one)) for name, one in list(frame.schema.items())[:MAX_LISTED])
    shape = Shape(kind="polars", rows=frame.height, columns=columns)
    return Frame(shape=shape, size=int(frame.estimated_size()), digest=digest)


def _arrow(table: Any) -> Frame:
    import pyarrow as pa  # noqa: PLC0415  # it is there already

    if type(table).__name__ == "RecordBatch":
        table = pa.Table.from_batches([table])

    def digest() -> str:
        whole = _Hashing()
        for name, column in zip(table.column_names, table.columns, strict=True):  # whatever chunks it has
            one = pa.table({name: column.combine_chunks()})
            with pa.ipc.new_stream(pa.PythonFile(whole, mode="w"), one.schema) as stream:
                stream.write_table(one)
        return whole.hexdigest()

    shape = Shape(kind="arrow", rows=table.num_rows, columns=_arrow_columns(table.schema))
    return Frame(shape=shape, size=int(table.nbytes), digest=digest)


def _numpy(array: Any) -> Frame:
    import numpy as np  # noqa: PLC0415  # it is there already

    if array.dtype.hasobject:
        raise InvalidTypeError("log_dataset: an array of Python objects has no bytes to hash; give it a type")

    def digest() -> str:
        whole = hashlib.sha256(msgspec.json.encode([array.dtype.descr, array.shape]))
        if array.nbytes and array.flags.c_contiguous:
            whole.update(array.reshape(-1).view(np.uint8))
        elif array.nbytes:
            for row in array:
                whole.update(np.ascontiguousarray(row).tobytes())
        return whole.hexdigest()

    rows = len(array) if array.ndim else None
    return Frame(
        shape=Shape(kind="numpy", rows=rows, columns=_array_columns(array)), size=int(array.nbytes), digest=digest
    )


class _Hashing:
    """A file that keeps only the SHA-256 of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return memoryview(data).nbytes

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
