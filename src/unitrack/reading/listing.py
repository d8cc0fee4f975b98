"""The runs of one location or of several, filtered and ordered."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from unitrack.config import resolve
from unitrack.config.sinks import DEFAULT_BACKEND
from unitrack.errors import ConfigError, MissingLocationError, NotFoundError, SourceError, UnitrackError
from unitrack.names import nearest
from unitrack.query.filters import Query
from unitrack.query.ordering import parse_order
from unitrack.reading.frames import Table, points_table, runs_table
from unitrack.reading.guard import GuardedSource
from unitrack.reading.location import Location
from unitrack.reading.selection import Selection, best_first
from unitrack.reading.stored_run import StoredRun
from unitrack.reading.table import HEADERS, cells_of, text_table
from unitrack.records import RunStart, definition_for, metric_definitions
from unitrack.terminal.notebook import html_table
from unitrack.validation.arguments import as_text
from unitrack.validation.messages import brief
from unitrack.values.directions import Direction, direction_of

_FEW = 20
"""Runs whose summaries are read one by one: reading those of all runs of a large store takes longer."""
_MAX_IN_NOTEBOOK, _MAX_IN_TERMINAL = 100, 20
"""Runs that a representation shows."""

LocationLike = str | Path


def runs(
    *locations: LocationLike | Iterable[LocationLike] | None,
    filter: str | None = None,
    order_by: str | Iterable[str] | None = None,
    limit: int | None = None,
) -> Runs:
    """Return the runs that locations hold: `runs("experiments", "mlflow:sqlite:///mlflow.db")`.

    A location is a backend's name, a colon and a place that its source takes: `tensorboard:LOGDIR`, `wandb:DIR`,
    `local:PATH`; a plain path means local runs. A place may be a glob, `local:exp*/`, and several locations a list.
    Without any, it is the configured root.

    `filter` is a query, such as "params.lr < 0.01 and metrics.loss.min < 0.3 and status == 'finished'". `order_by`
    names fields, the most important first: "-metrics.acc.last, name", with `-` for the greatest first; a run that lacks
    the field comes last. By default the newest comes first. `limit` keeps that many of the first.

    Raises `QueryError` for a filter or an order that can't be understood, `ConfigError` if a backend is unknown or not
    installed, `SourceError` if nothing can be read there: `MissingLocationError` if nothing is there.
    """
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ConfigError(f"limit is a number of runs, got {brief(limit)}")
    selection = Selection(
        query=None if filter is None else Query.parse(filter),
        order=() if order_by is None else parse_order(order_by),
        limit=limit,
    )
    return Runs(*dict.fromkeys(_located(locations)), selection=selection)


def _located(locations: Iterable[object]) -> Iterator[Location]:
    given = [one for one in _flat(locations) if one is not None]
    if not given:
        yield Location(DEFAULT_BACKEND, resolve().settings.tracking.root)  # may not be there: no runs yet
    for one in given:
        for location in Location.expand(one):  # type: ignore[arg-type]  # `parse` says what it takes
            if location.is_missing_folder:
                raise MissingLocationError(
                    f"there is no folder {location.place!r}: give a folder of runs, or that of one run"
                )
            yield location


def _flat(locations: Iterable[object]) -> Iterator[object]:
    for one in locations:
        if isinstance(one, list | tuple | set | frozenset | Iterator):
            yield from one
        else:
            yield one


class Runs(Sequence[StoredRun]):
    """Runs of one location or of several, newest first by default: `len(runs)`, `runs[0]`, `for run in runs`.

    Nothing is read before it is needed. The list is made once; call `unitrack.runs` again for a new one.
    """

    def __init__(
        self,
        *locations: Location | GuardedSource,
        selection: Selection | None = None,
        found: list[StoredRun] | None = None,
    ) -> None:
        """`found`: the runs, where they are known; None to look for them when they are first needed."""
        self._sources = [one if isinstance(one, GuardedSource) else GuardedSource(one) for one in locations]
        self._selection = selection or Selection()
        self._known = found
        self._is_part = found is not None

    @property
    def locations(self) -> tuple[Location, ...]:
        """Where the runs lie."""
        return tuple(source.location for source in self._sources)

    @property
    def _found(self) -> list[StoredRun]:
        if self._known is None:
            self._known = self._selection.select(self._sources)
        return self._known

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> StoredRun: ...

    @overload
    def __getitem__(self, index: slice) -> list[StoredRun]: ...

    def __getitem__(self, index: int | slice) -> StoredRun | list[StoredRun]:
        return self._found[index]

    def history(self, metrics: str | Collection[str] | None = None, *, sample: int | None = None) -> Table:
        """Return every point of some metrics of all these runs as one long table: `runs.history(["loss", "val/*"])`.

        The table has `to_pandas()`, `to_polars()` and Arrow's stream interface. See `frames.points_table` for its
        columns, patterns, `sample` and what is raised.
        """
        return points_table(self, metrics, sample=sample)

    def to_pandas(self) -> Any:
        """Return the runs as a `pandas.DataFrame`, one row a run: see `frames.runs_table` for its columns."""
        return runs_table(self.read_summaries()).to_pandas()

    def to_polars(self) -> Any:
        """Return the runs as a `polars.DataFrame`, one row a run: see `frames.runs_table` for its columns."""
        return runs_table(self.read_summaries()).to_polars()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the runs as an Arrow stream, one row a run, for `pyarrow.table(runs)` or DuckDB."""
        return runs_table(self.read_summaries()).__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        try:
            shown = self[:_MAX_IN_TERMINAL]
            title = self._title(len(shown))
            return text_table(title, shown) if shown else title
        except UnitrackError as error:
            return f"<Runs in {self._where}: {error}>"

    def _repr_html_(self) -> str:
        shown = self[:_MAX_IN_NOTEBOOK]
        return html_table(self._title(len(shown)), HEADERS, map(cells_of, shown))

    def _title(self, shown: int) -> str:
        more = f", the first {shown}" if len(self) > shown else ""
        return f"{len(self)} {'run' if len(self) == 1 else 'runs'} in {self._where}{more}"

    @property
    def _where(self) -> str:
        return ", ".join(map(str, self.locations))

    def read_summaries(self) -> Runs:
        """Read params, tags, last values and ends of all runs, each location at once, and return the runs.

        They are read one by one otherwise, when they are first used, as a few of many are here too. Raises
        `SourceError`.
        """
        if self._known is None and self._selection.limit is None:
            self._known = self._selection.select(self._sources, with_summaries=True)
            return self
        missing = {(run.location, run.id): run for run in self._found if not run.is_read}
        is_part = self._is_part or self._selection.limit is not None
        for source in self._sources:
            if sum(location == source.location for location, _ in missing) > (_FEW if is_part else 0):
                for start, summary in source.summaries():
                    run = missing.get((source.location, start.run_id))
                    if run is not None:
                        run.take_up(summary)
        return self

    def first(self, limit: int | None, leave_out: Callable[[StoredRun], bool] | None = None) -> Runs:
        """Return the first runs, at most `limit`, without those that are left out."""
        if leave_out is not None and (limit is None or limit > _FEW):
            self.read_summaries()
        kept = (run for run in self if leave_out is None or not leave_out(run))
        return self._of(list(itertools.islice(kept, limit)))

    def _of(self, found: list[StoredRun], selection: Selection | None = None) -> Runs:
        """Return some of these runs, which are known already."""
        return Runs(*self._sources, selection=selection, found=found)

    def filter(self, query: str) -> Runs:
        """Return those runs for which a query holds as well. Raises `QueryError`."""
        parsed = Query.parse(query)
        selection = Selection(parsed)
        return self._of([run for run in self.read_summaries() if selection.admits(run)], selection)

    def best(self, metric: str, mode: Literal["min", "max"] | None = None) -> StoredRun:
        """Return the run that reached the best value of a metric at any step: the least, or the greatest, of all.

        `mode` says which is better. Without it that is what `define_metric` chose as the summary, else the greatest for
        accuracies, scores, rewards and the like, by the words of the metric's name, else the least. Of equal runs it is
        the first of the list. Raises `NotFoundError`, which names a similar metric, if no run has it.
        """
        return self.ranked(metric, mode)[0]

    def ranked(self, metric: str, mode: Literal["min", "max"] | None = None) -> list[StoredRun]:
        """Return the runs that have a metric, the best first, as `best` finds it. Raises as `best` does."""
        metric = as_text(metric, "the name of a metric")
        ranked = best_first(self.read_summaries(), metric, self.direction(metric, mode))
        if not ranked:
            known = {name for run in self for name in run.at_hand.last}
            close = nearest(metric, known)
            hint = f": did you mean {close!r}?" if close else ""
            raise NotFoundError(f"no run in {self._where} has a metric {metric!r}{hint}")
        return ranked

    def direction(self, metric: str, mode: str | None = None) -> Direction:
        """Return whether the least or the greatest value of a metric is best: `mode` if given, else as `best` says."""
        if mode is not None:
            return direction_of(metric, {metric: mode})
        defined = (definition_for(metric, metric_definitions(run.tags)) for run in self.read_summaries())
        chosen = next((one.summary for one in defined if one and one.summary in ("min", "max")), None)
        return direction_of(metric, {metric: chosen} if chosen else {})

    def find(self, run: str) -> StoredRun:
        """Return the run with this id in its backend, or in unitrack, or else the only one of this name.

        Raises `NotFoundError` if there is none, with a similar name if there is one, or if there are several.
        """
        run = as_text(run, "the id or name of a run")
        found = [one for source in self._sources if (one := self._by_id(source, run)) is not None]
        return _only(found, f"have the id {run!r}; read one location") if found else self._by_name(run)

    def _by_id(self, source: GuardedSource, run: str) -> StoredRun | None:
        try:
            start = next(source.records(run), None)
        except NotFoundError:
            return None
        if not isinstance(start, RunStart):
            raise SourceError(
                f"can't read run {run!r} of {str(source.location)!r}: its records begin without a RunStart"
            )
        found = StoredRun(source, start, key=run)
        return found if self._selection.query is None or self._selection.admits(found) else None

    def _by_name(self, name: str) -> StoredRun:
        found = [run for run in self if run.name == name]
        if found:
            return _only(found, f"are called {name!r}; give an id")
        known = [word for run in self for word in (run.name, run.id)]
        meant = nearest(name, known)
        hint = f": did you mean {meant!r}?" if meant else "" if known else ", nor any other"
        raise NotFoundError(f"there is no run {name!r} in {_quoted(self.locations)}{hint}")


def _only(found: Sequence[StoredRun], what: str) -> StoredRun:
    """Return the only run. Raises `NotFoundError`, with all of them, if there are several."""
    if len(found) == 1:
        return found[0]
    where = tuple(dict.fromkeys(run.location for run in found))
    names = ", ".join(run.id if len(where) == 1 else f"{run.id} in {run.location}" for run in found)
    raise NotFoundError(f"{len(found)} runs in {_quoted(where)} {what}: {names}")


def _quoted(locations: Iterable[Location]) -> str:
    return ", ".join(repr(str(location)) for location in locations)
