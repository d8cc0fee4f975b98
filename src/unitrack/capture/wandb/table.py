"""`wandb.Table`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from unitrack.capture.forwarding.wandb_values import cell_of
from unitrack.capture.wandb.media import WBValue
from unitrack.run import media_values
from unitrack.run.media_values import Media


class Table(WBValue):
    """Rows under columns; data may be a list of rows, an array or a pandas frame."""

    MAX_ROWS = 10_000
    MAX_ARTIFACT_ROWS = 200_000

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: Any = True,
        allow_mixed_types: bool = False,
        log_mode: str | None = "IMMUTABLE",
    ) -> None:
        frame = dataframe if dataframe is not None else data if hasattr(data, "columns") else None
        if frame is not None:
            self.columns: list[Any] = [str(name) for name in (columns or frame.columns)]
            self.data = [list(row) for row in frame.itertuples(index=False, name=None)]
        else:
            given = data if data is not None else rows if rows is not None else []
            self.data = [list(row) for row in (given.tolist() if hasattr(given, "tolist") else given)]
            unnamed: Sequence[Any] = range(len(self.data[0])) if self.data else _DEFAULT
            self.columns = list(unnamed if columns is None else columns)
        for row in self.data:
            self._check(row)

    def _check(self, row: Sequence[Any]) -> None:
        if len(row) != len(self.columns):
            raise ValueError(f"This table expects {len(self.columns)} columns: {self.columns}, found {len(row)}")

    def add_data(self, *data: Any) -> None:
        """Add a row."""
        self._check(data)
        self.data.append(list(data))

    add_row = add_data

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:
        """Add a column."""
        values = list(data)
        if self.data and len(values) != len(self.data):
            raise ValueError(f"Expected length of data to be {len(self.data)}, got {len(values)}")
        self.data = [[*row, value] for row, value in zip(self.data or [[] for _ in values], values, strict=True)]
        self.columns = [*(self.columns if len(self.data[0]) > 1 else []), name] if self.data else [*self.columns, name]

    def get_column(self, name: str, convert_to: str | None = None) -> Any:
        """Return a column as a list, or as an array with `convert_to="numpy"`."""
        found = [row[self.columns.index(name)] for row in self.data]
        if convert_to != "numpy":
            return found
        import numpy as np  # noqa: PLC0415  # only if it is asked for

        return np.array(found)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield numbers and rows."""
        yield from enumerate(self.data)

    def get_dataframe(self) -> Any:
        """Return a pandas frame."""
        import pandas as pd  # noqa: PLC0415  # only if it is asked for

        return pd.DataFrame(self.data, columns=self.columns)

    def as_media(self) -> Media:
        """Return the table; of a medium in a cell its caption or its kind."""
        rows = [[cell_of(value) for value in row] for row in self.data]
        return media_values.Table(rows, columns=[str(name) for name in self.columns])


class EvalTable(Table):
    """A table of an evaluation."""


_DEFAULT = ("Input", "Output", "Expected")
