"""Rows to a file, one at a time: CSV and JSON lines by the standard library and msgspec, Parquet by DuckDB."""

from __future__ import annotations

import csv
import glob
import importlib
import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from unitrack.errors import MissingPackageError
from unitrack.system.installation import CORE, install_command

Columns = Mapping[str, str]
"""The names of a table's columns, each with its type in DuckDB."""
Row = Mapping[str, Any]
"""A value for each column, or for some of them, as JSON has it: times as text, `spelled` floats."""
_LONGEST_LINE = 16 * 2**20
"""Bytes of an object in JSON that DuckDB reads unless told otherwise."""
_OF_JSON = (bool, list, dict)
"""What CSV has no form for: it is written as JSON."""


def spelled(value: float) -> float | str:
    """Return a float, or "nan", "inf" or "-inf", which JSON has not."""
    return value if math.isfinite(value) else repr(value)


class Writer(Protocol):
    """Writes a table to a file."""

    def __call__(self, path: Path, columns: Columns, rows: Iterable[Row]) -> None:
        """Write all rows. Raises `OSError`."""
        ...


def write_csv(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    """Write CSV with a header: floats in as many digits as they need, "nan", "inf" and "-inf"; lists as JSON."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = map(row.get, columns)
            writer.writerow([_in_csv(value) if type(value) in _OF_JSON else value for value in values])


def write_jsonl(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    """Write one JSON object a line, without columns that a row lacks; NaN and infinity are text: "nan", "-inf"."""
    _write_lines(path, rows)


def write_parquet(path: Path, columns: Columns, rows: Iterable[Row], *, compression: str = "zstd") -> None:
    """Write Parquet, by way of JSON lines in the same folder.

    Names of columns that differ only in case get a number, as DuckDB gives them: "params.lr", "params.LR_1". Raises
    `MissingPackageError` without DuckDB.
    """
    duckdb = need_duckdb()
    lines = path.with_name(f"{path.name}.jsonl")
    names = _distinct(columns)
    if list(names) != list(names.values()):
        rows = ({names[name]: value for name, value in row.items()} for row in rows)
    longest = _write_lines(lines, rows)
    types = ", ".join(f"{_quoted(names[name])}: {_quoted(kind)}" for name, kind in columns.items())
    size = max(_LONGEST_LINE, 2 * longest)
    try:
        with duckdb.connect(":memory:", config={"threads": 1}) as connection:  # 135 MB at any size; 450 MB with two
            connection.execute(
                f"COPY (SELECT * FROM read_json({_quoted(glob.escape(str(lines)))}, format = 'newline_delimited', "
                f"columns = {{{types}}}, maximum_object_size = {size})) "
                f"TO {_quoted(str(path))} (FORMAT parquet, COMPRESSION {compression})"
            )
    except duckdb.IOException as error:
        raise OSError(str(error)) from error
    lines.unlink()


def _distinct(names: Iterable[str]) -> dict[str, str]:
    """Return each name with the one that it gets where upper and lower case are the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        numbers = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        found[name] = next(one for one in numbers if one.lower() not in taken)
        taken.add(found[name].lower())
    return found


def need_duckdb() -> Any:
    """Return DuckDB. Raises `MissingPackageError`, with the command that installs it."""
    try:
        return importlib.import_module("duckdb")
    except ImportError as error:
        raise MissingPackageError(
            f"Parquet needs the package 'duckdb': run `{install_command(f'{CORE}[sql]')}`, or export to .csv or .jsonl"
        ) from error


def _write_lines(path: Path, rows: Iterable[Row]) -> int:
    """Write JSON lines, and return the bytes of the longest."""
    longest = 0
    encode = msgspec.json.Encoder().encode
    with path.open("wb", buffering=2**20) as file:
        for row in rows:
            line = encode(row)
            longest = max(longest, len(line))
            file.write(line)
            file.write(b"\n")
    return longest


def _in_csv(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
