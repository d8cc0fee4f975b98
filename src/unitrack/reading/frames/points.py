"""The table of points: one row a point, of many runs and metrics."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Mapping, Sequence
from fnmatch import translate
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, NotFoundError
from unitrack.hookspecs import Columns
from unitrack.names import nearest
from unitrack.reading.frames.column import Column, RepeatedText
from unitrack.reading.frames.table import Table
from unitrack.reading.stored_run import StoredRun

_GLOB = re.compile(r"[*?\[]")
_MAX_NAMED = 20
"""Metrics that an error names."""


def points_table(
    runs: Sequence[StoredRun], metrics: str | Collection[str] | None = None, *, sample: int | None = None
) -> Table:
    """Return the points of several metrics of several runs as one table, in the order of logging within a metric.

    Columns: `run_id`, `run_name`, `location`, `metric`, `step`, `value` and `time`. `metrics` are names, or patterns
    such as "val/*"; None means all. Every point is there, as exact as the backend holds it, unless `sample` is given:
    then a longer curve is thinned out to that number of points, spread evenly over the curve with its first and last,
    and the column `sampled_from` holds how many points it has.

    Raises `NotFoundError` if no run has a metric of one of the names, or one that matches one of the patterns.
    """
    patterns = _patterns(metrics)
    least = 2
    if sample is not None and (type(sample) is not int or sample < least):
        raise InvalidValueError(f"sample must be an integer of at least {least}, not {sample!r}")
    found = [(run, name, columns) for run in runs for name, columns in _matching(run, patterns).items()]
    _check_found(patterns, {name for _, name, _ in found}, runs)
    curves = [columns if sample is None else _thinned(columns, sample) for _, _, columns in found]
    counts = [len(columns) for columns in curves]

    def repeated(texts: Sequence[str]) -> Column:
        return Column("text", RepeatedText(texts, counts))

    table = {
        "run_id": repeated([run.id for run, _, _ in found]),
        "run_name": repeated([run.name for run, _, _ in found]),
        "location": repeated([str(run.location) for run, _, _ in found]),
        "metric": repeated([name for _, name, _ in found]),
        "step": Column("int", _joined([columns.steps for columns in curves], "q")),
        "value": Column("float", _joined([columns.values for columns in curves], "d")),
        "time": Column("time", _joined([columns.times for columns in curves], "q")),
    }
    if sample is None:
        return Table(table)
    whole = [len(columns) for _, _, columns in found for _ in range(min(len(columns), sample))]
    return Table(table | {"sampled_from": Column("int", whole)}, f"sampled: at most {sample} points of each curve")


def _patterns(metrics: str | Collection[str] | None) -> list[str] | None:
    if metrics is None:
        return None
    patterns = [metrics] if isinstance(metrics, str) else list(metrics)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise InvalidTypeError(f"the name of a metric must be a str, not {type(pattern).__name__}: {pattern!r}")
    return patterns


def _matching(run: StoredRun, patterns: list[str] | None) -> Mapping[str, Columns]:
    wanted = patterns
    if patterns is not None and any(map(_GLOB.search, patterns)):
        matches = re.compile("|".join(map(translate, patterns))).match
        wanted = [name for name in run.at_hand.last if matches(name) or name in patterns]
    if wanted is not None and not wanted:
        return {}
    return {name: history.columns for name, history in run.histories(wanted).items()}


def _check_found(patterns: list[str] | None, found: Collection[str], runs: Sequence[StoredRun]) -> None:
    for pattern in patterns or ():
        if pattern not in found and not any(map(re.compile(translate(pattern)).match, found)):
            known = sorted({name for run in runs for name in run.at_hand.last})
            meant = nearest(pattern, known)
            others = f"they have {', '.join(known[:_MAX_NAMED])}" if known else "they have none"
            hint = f"did you mean {meant!r}?" if meant else others
            raise NotFoundError(f"no run has a metric {pattern!r}: {hint}")


def _thinned(columns: Columns, sample: int) -> Columns:
    points = len(columns)
    if points <= sample:
        return columns
    places = [place * (points - 1) // (sample - 1) for place in range(sample)]
    return Columns(
        _taken(columns.steps, places, "q"), _taken(columns.values, places, "d"), _taken(columns.times, places, "q")
    )


def _taken(values: memoryview, places: list[int], form: Any) -> memoryview:

    return memoryview(array(form, [values[place] for place in places]))


def _joined(parts: list[memoryview], form: Any) -> memoryview:
    """Return several columns as one, without a copy if there is one."""
    if len(parts) == 1:
        return parts[0]
    return memoryview(bytearray().join(parts)).cast(form)
