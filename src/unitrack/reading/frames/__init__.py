"""Runs and points as typed tables, for pandas, Polars, Arrow and DuckDB.

`runs_table(runs)` and `points_table(runs, metrics)` return a `Table`, which any library reads that takes Arrow's stream
interface (`__arrow_c_stream__`).
"""

from unitrack.reading.frames.column import Column, Kind, RepeatedText, column_of
from unitrack.reading.frames.points import points_table
from unitrack.reading.frames.runs import runs_table
from unitrack.reading.frames.table import Table

__all__ = ["Column", "Kind", "RepeatedText", "Table", "column_of", "points_table", "runs_table"]
