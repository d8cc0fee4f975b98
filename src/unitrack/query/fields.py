"""The value of a field of a run."""

from __future__ import annotations

import time
from typing import Any

from unitrack.query.conditions import Field
from unitrack.query.evaluation import MISSING
from unitrack.records import RunStart
from unitrack.values.run_summary import RunSummary


def read_field(field: Field, start: RunStart, summary: RunSummary, location: str = "") -> Any:
    """Return the value of a field, or `MISSING`.

    Statistics of metrics other than the last value are missing in a summary without `metrics`.
    """
    match field.group:
        case "params":
            return summary.params.get(field.name, MISSING)
        case "tags":
            value = summary.tags.get(field.name, MISSING)
            return start.tags.get(field.name, MISSING) if value is MISSING else value
        case "metrics":
            return _statistic(field, summary)
    value = _of_run(field.name, start, summary, location)
    return MISSING if value is None else value


def needs_statistics(field: Field) -> bool:
    """Return whether the last value of a metric does not do."""
    return field.group == "metrics" and field.statistic not in (None, "last")


def _statistic(field: Field, summary: RunSummary) -> Any:
    if not needs_statistics(field):
        return summary.last.get(field.name, MISSING)
    metric = (summary.metrics or {}).get(field.name)
    if metric is None:
        return MISSING
    value = metric.points if field.statistic == "count" else getattr(metric, field.statistic or "last")
    return MISSING if value is None else value


def _of_run(name: str, start: RunStart, summary: RunSummary, location: str) -> Any:
    match name:
        case "name":
            return start.name
        case "id":
            return start.run_id
        case "project":
            return start.project
        case "status":
            return summary.status
        case "started":
            return start.time or None
        case "ended":
            return summary.ended
        case "duration":
            until = time.time() * 1000 if summary.ended is None else summary.ended
            return (until - start.time) / 1000 if start.time else None
        case "location":
            return location
    return None
