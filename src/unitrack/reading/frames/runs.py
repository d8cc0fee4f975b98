"""The table of runs: one row a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unitrack.reading.frames.column import Column, column_of
from unitrack.reading.frames.table import Table
from unitrack.reading.stored_run import StoredRun


def runs_table(runs: Iterable[StoredRun]) -> Table:
    """Return runs as a table, one row a run.

    Columns: `run_id`, `name`, `project`, `status`, `started`, `ended`, `location`, then `params.NAME`, `metrics.NAME`
    (the value in the summary: the last one, unless `define_metric` chose another) and `tags.NAME`.

    A run has None in the columns of what it lacks. Params of one name with values of different types become text.
    """
    rows = list(runs)
    columns = {
        "run_id": Column("text", [run.id for run in rows]),
        "name": Column("text", [run.name for run in rows]),
        "project": Column("text", [run.project for run in rows]),
        "status": Column("text", [run.status for run in rows]),
        "started": Column("time", [run.started or None for run in rows]),
        "ended": Column("time", [run.ended for run in rows]),
        "location": Column("text", [str(run.location) for run in rows]),
    }
    for group, of_runs in (
        ("params", [run.params for run in rows]),
        ("metrics", [run.summary for run in rows]),
        ("tags", [run.tags for run in rows]),
    ):
        found: dict[str, list[Any]] = {}
        for place, values in enumerate(of_runs):
            for name, value in values.items():
                found.setdefault(name, [None] * len(rows))[place] = value
        columns |= {f"{group}.{name}": column_of(found[name]) for name in sorted(found)}
    return Table(columns)
