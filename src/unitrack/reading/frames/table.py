"""A table: typed columns of one length, for pandas, Polars, Arrow and the eye."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import ModuleType
from typing import Any

from unitrack.errors import MissingPackageError
from unitrack.reading.frames.arrow import arrow_array, stream_of
from unitrack.reading.frames.column import Column, RepeatedText
from unitrack.terminal.console import Column as Shown
from unitrack.terminal.console import cell, fit, make_table
from unitrack.terminal.notebook import html_table

_MAX_SHOWN = 20
"""Rows of a table that are printed."""
_WIDTH = 160
"""Characters of a line that is printed."""


class Table:
    """Rows of typed columns: `table.columns`, `table.rows`, `len(table)`, `table["loss"]`.

    pandas, Polars, pyarrow and DuckDB read it through Arrow's stream interface; times are in UTC, to the millisecond.
    """

    def __init__(self, columns: Mapping[str, Column], note: str = "") -> None:
        """`note` is shown with the table."""
        self._columns = dict(columns)
        self.note = note

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._columns)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows: int, float, bool, str, `datetime` in UTC, or None."""
        return list(self)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())).values) if self._columns else 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*(column.objects() for column in self._columns.values()), strict=True)

    def __getitem__(self, name: str) -> list[Any]:
        """Return the values of a column."""
        return list(self._columns[name].objects())

    def texts(self, name: str) -> list[str]:
        """Return the values of a column as they are printed."""
        return [_shown(value) for value in self[name]]

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`. Raises `MissingPackageError` without pandas."""
        pandas = _need("pandas")
        return pandas.DataFrame({name: _series(pandas, column) for name, column in self._columns.items()})

    def to_polars(self) -> Any:
        """Return a `polars.DataFrame`. Raises `MissingPackageError` without Polars or nanoarrow."""
        return _need("polars").DataFrame(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table as an Arrow stream. Raises `MissingPackageError` without nanoarrow."""
        return stream_of(self._arrow).__arrow_c_stream__(requested_schema)

    @cached_property
    def _arrow(self) -> Any:
        return arrow_array(self._columns)

    def for_sql(self) -> Table:
        """Return the table for DuckDB, in which times carry no timezone.

        DuckDB ignores the case of names and would give one column for another, so that columns whose names differ in
        case alone are left out.
        """
        spelled = Counter(map(str.lower, self._columns))
        return _SqlTable({name: one for name, one in self._columns.items() if spelled[name.lower()] == 1}, self.note)

    def __repr__(self) -> str:
        from rich.console import Console  # noqa: PLC0415  # rich costs 24 ms

        cells = [list(map(_shown, values)) for values in self._first()]
        shown = fit([Shown(*column) for column in zip(self._columns, cells, strict=True)], _WIDTH)
        table = make_table(*(column.header for column in shown), right=self._numbers())
        for row in zip(*(column.cells for column in shown), strict=True):
            table.add_row(*map(cell, row))
        console = Console(file=io.StringIO(), force_jupyter=False, width=_WIDTH, highlight=False)
        with console.capture() as printed:
            console.print(table)
        hidden = len(self._columns) - len(shown)
        more = f", {hidden} more {'column' if hidden == 1 else 'columns'}" if hidden else ""
        return "\n".join([*map(str.rstrip, printed.get().splitlines()), self._title() + more])

    def _repr_html_(self) -> str:
        rows = zip(*self._first(), strict=True)
        return html_table(self._title(), self.columns, ([_shown(value) for value in row] for row in rows))

    def _first(self) -> list[Sequence[Any]]:
        """Return the first values of each column."""
        return [Column(column.kind, column.values[:_MAX_SHOWN]).objects() for column in self._columns.values()]

    def _numbers(self) -> tuple[str, ...]:
        return tuple(name for name, column in self._columns.items() if column.kind in ("int", "float"))

    def _title(self) -> str:
        rows = f"{len(self)} {'row' if len(self) == 1 else 'rows'}"
        more = f", the first {_MAX_SHOWN}" if len(self) > _MAX_SHOWN else ""
        return f"{rows}{more}{f'; {self.note}' if self.note else ''}"


class _SqlTable(Table):
    """A table whose times are in UTC and carry no timezone."""

    @cached_property
    def _arrow(self) -> Any:
        return arrow_array(self._columns, timezone=None)


def _need(package: str) -> ModuleType:
    import importlib  # noqa: PLC0415  # needed only here

    try:
        return importlib.import_module(package)
    except ImportError:
        what = f"to_{package}() needs the package {package!r}"
        raise MissingPackageError(f"{what}: run `pip install {package}`") from None


def _series(pandas: Any, column: Column) -> Any:
    import numpy  # noqa: PLC0415  # pandas brings it along

    values = column.values
    if isinstance(values, RepeatedText):
        names = {name: place for place, name in enumerate(dict.fromkeys(values.texts))}
        codes: Any = numpy.repeat([names[text] for text in values.texts], values.counts)
        return pandas.Categorical.from_codes(codes.astype("int64"), categories=list(names))
    if column.kind == "time":
        times = numpy.asarray(values) if isinstance(values, memoryview) else values
        return pandas.Series(numpy.array(times, dtype="datetime64[ms]")).dt.tz_localize("UTC")
    if isinstance(values, memoryview):
        return numpy.asarray(values)
    if column.kind in ("int", "bool") and None in values:
        return pandas.array(values, dtype="Int64" if column.kind == "int" else "boolean")
    return pandas.Series(values, dtype="float64") if column.kind == "float" else values


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
