"""Exporting runs."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from unitrack.errors import ConfigError, NotFoundError
from unitrack.manager.exporting.neptune import write_neptune
from unitrack.manager.exporting.tables import POINTS, Admit, RunsTable, points_of
from unitrack.manager.exporting.target import TABLES, Format, Table, Target, check_word
from unitrack.manager.exporting.writers import Row, Writer, need_duckdb, write_csv, write_jsonl, write_parquet
from unitrack.reading import StoredRun, runs

_SHOW_EVERY = 10_000
"""Points between two calls of `show`: about 30 ms."""
_WRITERS: dict[Format, Writer] = {"parquet": write_parquet, "csv": write_csv, "jsonl": write_jsonl}


Source = str | os.PathLike[str] | StoredRun | Iterable[str | os.PathLike[str] | StoredRun]
"""A location, runs, or several of either."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was exported, at the end or so far."""

    path: str
    runs: int = 0
    points: int = 0
    left_out: tuple[str, ...] = ()
    """Artifacts that could not be copied, each with the reason."""


def export(
    source: Source,
    *,
    to: str | os.PathLike[str],
    filter: str | None = None,
    metrics: str | Collection[str] | None = None,
    format: Format | None = None,
    table: Table = "points",
    overwrite: bool = False,
    show: Callable[[Exported], None] = lambda exported: None,
) -> Exported:
    """Write runs to files: those of one location or several, of `unitrack.runs`, or one run.

    A folder as `to` gets two tables, `runs.parquet` and `points.parquet`; a file that ends in .parquet, .csv or .jsonl
    gets the points, or the runs if `table="runs"`. `format` is "csv" or "jsonl" for other files in a folder, or
    "neptune" for the folders of neptune-exporter, with the artifacts. `filter` is a query that chooses among the runs
    of locations, as in `unitrack.runs`; `metrics` are names or globs such as "val/*". Values are exact and none is
    sampled; memory does not grow with the points. `show` is called with the state so far.

    The target appears when it is whole. One that exists is replaced only with `overwrite`. Raises `ConfigError` for a
    target or a format that can't be, `QueryError` for a filter that can't be understood, `NotFoundError` if there is no
    run, `MissingPackageError` if Parquet is wanted and DuckDB is not installed, and `SourceError` if a run can't be
    read.
    """
    check_word("table", table, TABLES)
    target = Target.parse(to, format)
    target.check(overwrite=overwrite)
    if target.format in ("parquet", "neptune"):
        need_duckdb()
    chosen = _chosen(source, filter)
    progress = _Progress(str(target.path), show)
    admit = _admit(metrics)
    with target.replaced() as scratch:
        written = scratch / target.path.name
        if target.format == "neptune":
            _write_neptune(written, chosen, admit, progress)
        elif target.is_file:
            write_table = _write_runs if table == "runs" else _write_points
            write_table(_WRITERS[target.format], written, chosen, admit, progress)
        else:
            written.mkdir()
            _write_runs(_WRITERS[target.format], written / f"runs.{target.format}", chosen, admit, None)
            _write_points(_WRITERS[target.format], written / f"points.{target.format}", chosen, admit, progress)
    return progress.state


def _chosen(source: Source, query: str | None) -> list[StoredRun]:
    given = [source] if isinstance(source, str | os.PathLike | StoredRun) else list(source)
    stored = [one for one in given if isinstance(one, StoredRun)]
    places = [one if isinstance(one, str) else Path(one) for one in given if not isinstance(one, StoredRun)]
    if stored and query is not None:
        raise ConfigError(
            "a filter chooses among the runs of a location: give it to `unitrack.runs`, or a location here"
        )
    found = [*stored, *(runs(*places, filter=query) if places else ())]
    if not found:
        where = f" in {', '.join(map(str, places))}" if places else ""
        that = "" if query is None else f" for which {query!r} holds"
        raise NotFoundError(f"there is no run to export{where}{that}")
    twice = [key for key, count in Counter((str(run.location), run.id) for run in found).items() if count > 1]
    if twice:
        raise ConfigError(f"the run {twice[0][1]!r} in {twice[0][0]!r} is given twice: give it once")
    return found


def _admit(metrics: str | Collection[str] | None) -> Admit:
    """Return the function that tells whether a metric is wanted."""
    if metrics is None:
        return lambda name: True
    globs = [metrics] if isinstance(metrics, str) else list(metrics)
    return functools.cache(lambda name: any(fnmatchcase(name, glob) for glob in globs))


class _Progress:
    """Counts what is written, and shows it now and then."""

    def __init__(self, path: str, show: Callable[[Exported], None]) -> None:
        self._path = path
        self._show = show
        self._runs = self._points = self._shown = 0
        self._left_out: list[str] = []

    @property
    def state(self) -> Exported:
        return Exported(path=self._path, runs=self._runs, points=self._points, left_out=tuple(self._left_out))

    def add_points(self, count: int = 1) -> None:
        self._points += count
        if self._points - self._shown >= _SHOW_EVERY:
            self._shown = self._points
            self._show(self.state)

    def add_run(self, left_out: Iterable[str] = ()) -> None:
        self._runs += 1
        self._left_out += left_out
        self._show(self.state)


def _write_runs(write: Writer, path: Path, chosen: list[StoredRun], admit: Admit, progress: _Progress | None) -> None:
    """Write the table of the runs. `progress`: None if their points follow."""
    table = RunsTable(chosen, admit)
    write(path, table.columns(), table.typed_rows())
    if progress is not None:
        for _ in chosen:
            progress.add_run()


def _write_points(write: Writer, path: Path, chosen: list[StoredRun], admit: Admit, progress: _Progress) -> None:
    write(path, POINTS, _points(chosen, admit, progress))


def _points(chosen: list[StoredRun], admit: Admit, progress: _Progress) -> Iterator[Row]:
    for run in chosen:
        for row in points_of(run, admit):
            yield row
            progress.add_points()
        progress.add_run()


def _write_neptune(folder: Path, chosen: list[StoredRun], admit: Admit, progress: _Progress) -> None:
    known: set[tuple[str, str]] = set()
    for run in chosen:
        if (run.project, run.id) in known:
            raise ConfigError(
                f"two of the runs of project {run.project!r} have the id {run.id!r}, and neptune-exporter's files "
                "hold one: export each location to a target of its own"
            )
        known.add((run.project, run.id))
        progress.add_run(write_neptune(folder, run, admit, progress.add_points))
