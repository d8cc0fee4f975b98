"""Questions to the Parquet files of an export, answered by DuckDB, row by row: memory does not grow with the points."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from unitrack.sources.neptune_export import schema

_ROWS = 10_000
"""Rows that are fetched at once: about a megabyte."""
_IS_POINT = "attribute_type = 'float_series' AND float_value IS NOT NULL"
_MILLIONTHS = "(step::DECIMAL(38, 6) * 1000000)::BIGINT"


class Tables:
    """The rows of some files, in their order."""

    def __init__(self) -> None:
        # with several threads, rows of several files come in any order (seen with DuckDB 2.0)
        self._connection = duckdb.connect(":memory:", config={"threads": 1})

    def scalars(self, parts: Sequence[Path]) -> Iterator[tuple[Any, ...]]:
        """Yield project, run, attribute, type and the six values of `schema.SCALARS`, dates in milliseconds."""
        kinds = ", ".join(f"'{kind}'" for kind in schema.SCALARS)
        return self._rows(
            "SELECT project_id, run_id, attribute_path, attribute_type, float_value, int_value, string_value, "
            f"bool_value, epoch_ms(datetime_value), string_set_value FROM {{parts}} WHERE attribute_type IN ({kinds})",
            parts,
        )

    def identity(self, parts: Sequence[Path]) -> tuple[str, str]:
        """Return the project and the run of the first row."""
        row = next(self._rows("SELECT project_id, run_id FROM {parts} LIMIT 1", parts), ("", ""))
        return row[0] or "", row[1] or ""

    def odd_metrics(self, parts: Sequence[Path]) -> list[str]:
        """Return the metrics with steps that are no whole numbers, or negative."""
        odd = "step < 0 OR step <> trunc(step)"
        query = f"SELECT DISTINCT attribute_path FROM {{parts}} WHERE attribute_type = 'float_series' AND ({odd})"
        return [row[0] for row in self._rows(query, parts)]

    def steps(self, parts: Sequence[Path], metrics: Collection[str]) -> Iterator[int]:
        """Yield each step of these metrics once, in millionths."""
        query = (
            f"SELECT DISTINCT {_MILLIONTHS} FROM {{parts}} WHERE {_IS_POINT} AND attribute_path IN (SELECT unnest(?))"
        )
        return (row[0] for row in self._rows(query, parts, [list(metrics)]) if row[0] is not None)

    def points(
        self, parts: Sequence[Path], metrics: Collection[str] | None = None
    ) -> Iterator[tuple[str, int | None, int | None, float]]:
        """Yield metric, step in millionths, time in milliseconds and value of each point of some metrics, or all."""
        query = (
            f"SELECT attribute_path, {_MILLIONTHS}, epoch_ms(timestamp), float_value FROM {{parts}} WHERE {_IS_POINT}"
        )
        if metrics is None:
            return self._rows(query, parts)
        return self._rows(f"{query} AND attribute_path IN (SELECT unnest(?))", parts, [list(metrics)])

    def last(self, parts: Sequence[Path]) -> Iterator[tuple[str, float]]:
        """Yield the value of each metric at its highest step, the last row of those there."""
        order = "{'step': coalesce(step, -1), 'row': row}"
        return self._rows(
            f"SELECT attribute_path, arg_max(float_value, {order}) FROM (SELECT *, row_number() OVER () AS row "
            f"FROM {{parts}} WHERE {_IS_POINT}) GROUP BY attribute_path ORDER BY min(row)",
            parts,
        )

    def last_time(self, parts: Sequence[Path]) -> int | None:
        """Return the latest time of a point in milliseconds."""
        [row] = self._rows("SELECT epoch_ms(max(timestamp)) FROM {parts}", parts)
        time: int | None = row[0]
        return time

    def files(self, parts: Sequence[Path]) -> Iterator[tuple[str, str, int | None, int | None, str]]:
        """Yield attribute, type, step in millionths, time and path of each file."""
        return self._rows(
            f"SELECT attribute_path, attribute_type, {_MILLIONTHS}, epoch_ms(timestamp), file_value.path "
            "FROM {parts} WHERE file_value.path IS NOT NULL",
            parts,
        )

    def texts(self, parts: Sequence[Path]) -> list[str]:
        """Return the attributes that are series of texts."""
        query = "SELECT DISTINCT attribute_path FROM {parts} WHERE attribute_type = 'string_series' ORDER BY 1"
        return [row[0] for row in self._rows(query, parts)]

    def text(self, parts: Sequence[Path], attribute: str) -> Iterator[tuple[float | None, int | None, str]]:
        """Yield step, time and value of each entry of a series of texts."""
        return self._rows(
            "SELECT step::DOUBLE, epoch_ms(timestamp), string_value FROM {parts} "
            "WHERE attribute_type = 'string_series' AND attribute_path = ?",
            parts,
            [attribute],
        )

    def histograms(self, parts: Sequence[Path]) -> Iterator[tuple[str, int | None, int | None]]:
        """Yield attribute, step in millionths and time of each histogram."""
        return self._rows(
            f"SELECT attribute_path, {_MILLIONTHS}, epoch_ms(timestamp) FROM {{parts}} "
            "WHERE attribute_type = 'histogram_series'",
            parts,
        )

    def histogram(self, parts: Sequence[Path], number: int) -> tuple[list[float], list[float]] | None:
        """Return values and edges of a histogram, by its place among those of the run."""
        query = (
            'SELECT histogram_value."values", histogram_value.edges FROM {parts} '
            "WHERE attribute_type = 'histogram_series' LIMIT 1 OFFSET ?"
        )
        return next(self._rows(query, parts, [number]), None)

    def _rows(self, query: str, parts: Sequence[Path], values: Sequence[Any] = ()) -> Iterator[Any]:
        files = [glob.escape(str(part)) for part in parts]
        cursor = self._connection.cursor()
        try:
            cursor.execute(query.replace("{parts}", "read_parquet(?)"), [files, *values])
            while rows := cursor.fetchmany(_ROWS):
                yield from rows
        finally:
            cursor.close()
