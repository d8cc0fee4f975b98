"""Tables as JSON in pandas' "split" form, {"columns": [...], "data": [[...], ...]}, which MLflow and W&B read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.records import Table
from unitrack.validation.arguments import as_names
from unitrack.values.plain import to_plain


def table_bytes(
    table: Any,
    name: str,
    columns: Sequence[str] | None,
    clean: Callable[[list[Any], str], list[Any]] = lambda cells, column: cells,
) -> bytes:
    """Return a table as JSON.

    `table`: a pandas or polars frame, a list of dicts, a dict of columns, or rows with `columns`. `clean` gets the
    cells and the name of each column, and returns the cells to keep.

    Raises `InvalidTypeError` for any other object, `InvalidValueError` for a row that is longer or shorter than the
    columns.
    """
    if columns is not None:
        columns = as_names(columns, f"table {name!r}: columns")
    try:
        found, rows = _parts(table, columns)
    except TypeError as error:
        raise InvalidTypeError(f"table {name!r}: each row and column must be a sequence of cells: {error}") from None
    if found is None:
        raise InvalidTypeError(
            f"table {name!r} must be a data frame, a list of dicts, a dict of columns, or rows with columns=, "
            f"got {type(table).__name__}"
        )
    for number, row in enumerate(rows):
        if len(row) != len(found):
            raise InvalidValueError(f"table {name!r}: row {number} has {len(row)} values for {len(found)} columns")
    try:
        plain = to_plain(rows)
    except RecursionError:
        raise InvalidValueError(f"table {name!r}: a cell is nested too deeply, or contains itself") from None
    for number, column in enumerate(found):
        _clean_column(plain, number, column, clean)
    return msgspec.json.encode(Table(found, plain)) + b"\n"


def _clean_column(
    rows: list[list[Any]], number: int, column: str, clean: Callable[[list[Any], str], list[Any]]
) -> None:
    cells = [row[number] for row in rows]
    for row, cell in zip(rows, clean(cells, column), strict=True):
        row[number] = cell


def _parts(table: Any, columns: Sequence[str] | None) -> tuple[list[str] | None, list[list[Any]]]:
    if hasattr(table, "columns") and hasattr(table, "to_dict"):  # pandas, or polars, which has rows()
        rows = table.rows() if hasattr(table, "rows") else table.to_dict("split")["data"]
        return [str(column) for column in table.columns], [list(row) for row in rows]
    if isinstance(table, Mapping):
        values = [list(column) for column in table.values()]
        if len({len(column) for column in values}) > 1:
            raise InvalidValueError(f"the columns differ in length: {[len(column) for column in values]}")
        return [str(column) for column in table], [list(row) for row in zip(*values, strict=True)]
    if not isinstance(table, Sequence) or isinstance(table, str | bytes):
        return None, []
    if all(isinstance(row, Mapping) for row in table) and (table or columns is None):
        found = list(columns or dict.fromkeys(str(key) for row in table for key in row))
        return found, [[row.get(column) for column in found] for row in table]
    return (None, []) if columns is None else (list(columns), [list(row) for row in table])
