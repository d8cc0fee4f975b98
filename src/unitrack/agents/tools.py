"""The tools: functions that read runs of any location and return bounded JSON. None of them writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

import unitrack
from unitrack.errors import InvalidValueError
from unitrack.manager.choosing import choose_run
from unitrack.reading import History, StoredRun

MAX_RUNS = 200
MAX_POINTS = 5_000
MAX_FIELDS = 200
"""Params, tags and metrics of one run; `left_out` says how many there are more."""
MAX_DIFFERENCES = 50


def list_runs(
    locations: list[str] | None = None,
    filter: str | None = None,
    order_by: str | None = None,
    limit: int = 20,
) -> dict[str, Any]:
    """List runs with params, tags, status and the last value of each metric.

    `locations`: places such as "local:experiments", "mlflow:sqlite:///mlflow.db", "tensorboard:LOGDIR", "wandb:DIR";
    by default the configured folder. `filter`: such as "params.lr < 0.01 and metrics.loss.min < 0.3". `order_by`: such
    as "-metrics.acc.last". `limit`: 1 to 200 runs.
    """
    _check_bound("limit", limit, MAX_RUNS)
    found = unitrack.runs(*(locations or ()), filter=filter, order_by=order_by)
    shown = [_run(run) for run in found[:limit]]
    return {"runs": shown, "total": len(found), "left_out": max(0, len(found) - limit)}


def read_history(
    run: str,
    metrics: list[str],
    first_step: int = 0,
    last_step: int | None = None,
    max_points: int = 1_000,
) -> dict[str, Any]:
    """Return the exact points of metrics of one run, from `first_step` to `last_step`. None is sampled or rounded.

    `run`: a run folder, a name or an id under the configured folder, or "LOCATION#RUN". At most `max_points` (1 to
    5,000) of each metric come, those of the lowest steps; `next_step` is where to go on, null if these are all.
    """
    _check_bound("max_points", max_points, MAX_POINTS)
    stored = choose_run(run)
    windows = {name: _window(stored.history(name), first_step, last_step, max_points) for name in metrics}
    return {"run": _identity(stored), "metrics": windows}


def compare_runs(runs: list[str], baseline: str | None = None) -> dict[str, Any]:
    """Compare runs, also of different backends: params that differ, and last, least and greatest value of each metric.

    `runs` and `baseline`: as for the tool `history`.
    """
    chosen = [choose_run(run) for run in dict.fromkeys([*([baseline] if baseline else []), *runs])]
    if len(chosen) > MAX_RUNS:
        raise InvalidValueError(f"{len(chosen)} runs are more than {MAX_RUNS}: compare fewer at a time")
    names = list(dict.fromkeys(name for run in chosen for name in run.params))
    params = {name: [_plain(run.params.get(name)) for run in chosen] for name in names}
    metrics = list(dict.fromkeys(name for run in chosen for name in run.summary))
    differing = {name: values for name, values in params.items() if any(value != values[0] for value in values)}
    return {
        "runs": [_identity(run) for run in chosen],
        "differing_params": _bounded(differing),
        "same_params": len(params) - len(differing),
        "metrics": _bounded({name: [_statistics(run, name) for run in chosen] for name in metrics}),
    }


def verify_run(run: str) -> dict[str, Any]:
    """Read a run back from every backend that it went to, and say whether they hold the same, point by point.

    `run`: a run folder, a name or an id under the configured folder.
    """
    found = unitrack.verify(run)
    differences = [str(one) for one in found.differences]
    return {
        "ok": found.ok,
        "verdict": found.verdict,
        "backends": [check.name for check in found.checks],
        "differences": differences[:MAX_DIFFERENCES],
        "left_out": max(0, len(differences) - MAX_DIFFERENCES),
    }


def _check_bound(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidValueError(f"{name} must be 1 to {most}, got {value}")


def _identity(run: StoredRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "project": run.project,
        "location": str(run.location),
        "status": run.status,
        "started": run.started,
    }


def _run(run: StoredRun) -> dict[str, Any]:
    return _identity(run) | {
        "ended": run.ended,
        "params": _bounded({name: _plain(value) for name, value in run.params.items()}),
        "tags": _bounded(dict(run.tags)),
        "metrics": _bounded({name: _number(value) for name, value in run.summary.items()}),
    }


def _bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    if len(values) <= MAX_FIELDS:
        return dict(values)
    kept = dict(list(values.items())[:MAX_FIELDS])
    return kept | {"left_out": len(values) - MAX_FIELDS}


def _window(history: History, first: int, last: int | None, most: int) -> dict[str, Any]:
    """Return the points within a window, by step, and the step to go on from. A step comes whole, or not at all."""
    inside = [point for point in history if point.step >= first and (last is None or point.step <= last)]
    inside.sort(key=lambda point: point.step)  # stable: points of one step stay in the order of logging
    shown, next_step = inside, None
    if len(inside) > most:
        next_step = inside[most].step
        shown = [point for point in inside[:most] if point.step < next_step]
        if not shown:  # more points at one step than fit
            shown = [point for point in inside if point.step == next_step]
            next_step = next((point.step for point in inside if point.step > shown[0].step), None)
    return {
        "points": [[point.step, _number(point.value), point.time] for point in shown],
        "next_step": next_step,
        "total": len(history),
    }


def _statistics(run: StoredRun, name: str) -> dict[str, Any] | None:
    summary = run.metrics.get(name)
    if summary is None:
        return None
    return {"last": _number(summary.last), "min": _number(summary.min), "max": _number(summary.max)}


def _number(value: float | None) -> float | str | None:
    """Return a value as JSON has it: NaN and infinity by name."""
    return value if value is None or math.isfinite(value) else repr(value)


def _plain(value: Any) -> Any:
    return _number(value) if isinstance(value, float) else msgspec.to_builtins(value)
