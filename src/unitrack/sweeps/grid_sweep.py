"""`unitrack.run_sweep`: a grid, one combination after the other, on any tracker. It needs no Optuna."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any

from unitrack.errors import ConfigError, InvalidTypeError, InvalidValueError, SweepError, warn_caller
from unitrack.limits import MAX_COMBINATIONS
from unitrack.run.experiment_tracker import ExperimentTracker
from unitrack.sweeps.calling import check_keywords, name_of
from unitrack.validation.messages import brief


class SweepRuns(list[dict[str, Any]]):
    """What `run_sweep` returns: a list with the keys "run_id", "params" and "metrics" of each run that finished."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[dict[str, Any]] = []
        """The runs that failed: "run_id", "params" and "error"."""


def run_sweep(
    param_grid: Mapping[str, Iterable[Any]],
    train_fn: Callable[..., Mapping[str, Any]],
    tracker: ExperimentTracker,
    *,
    max_combinations: int = MAX_COMBINATIONS,
) -> SweepRuns:
    """Call `train_fn(**params)` with each combination of a grid, each in a run "sweep-<i>" of `tracker`.

    `train_fn` returns its metrics, which are logged. The result is a list of mappings with the keys "run_id", "params"
    and "metrics". A combination whose training raises ends its run as failed; the sweep goes on, and a warning at the
    end says so: the result has it in `failed`.

    Raises, before any run is started, `InvalidValueError` (a `ValueError`) for a grid of more than `max_combinations`,
    and `ConfigError` for one that `train_fn` can't take. Raises `SweepError` if each combination fails.
    """
    values = {name: _values(name, given) for name, given in _checked(param_grid).items()}
    _check_count(values, max_combinations)
    check_keywords(train_fn, values)
    results = SweepRuns()
    for index, combination in enumerate(product(*values.values())):
        _run_one(index, dict(zip(values, combination, strict=True)), train_fn, tracker, results)
    if results.failed:
        text = f"{len(results.failed)} of {len(results.failed) + len(results)} runs of the sweep failed"
        first = f"the first, {results.failed[0]['params']}: {results.failed[0]['error']}"
        if not results:
            raise SweepError(f"{text}; {first}")
        warn_caller(f"{text}; {first}. `results.failed` has all")
    return results


def _checked(param_grid: Any) -> Mapping[str, Any]:
    if not isinstance(param_grid, Mapping):
        raise InvalidTypeError(f"param_grid must map names to lists of values, got {type(param_grid).__name__}")
    for name in param_grid:
        if not isinstance(name, str):
            raise InvalidTypeError(f"param_grid: the name {brief(name)} is not a text")
    return param_grid


def _values(name: str, given: Any) -> Sequence[Any]:
    """Return the values of a param; of an iterator without a length no more than can matter."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"param_grid: {name!r} must be a list of values, got {brief(given)}: write [{brief(given)}]")
    values = given if isinstance(given, Sequence) else list(islice(given, 1_000_000))
    if not values:
        raise ConfigError(f"param_grid: {name!r} has no values")
    return values


def _check_count(values: Mapping[str, Sequence[Any]], most: int) -> None:
    count: float
    try:
        count = math.prod(map(len, values.values()))
    except OverflowError:  # a range with more values than `len` can tell
        count = math.inf
    if count > most:
        raise InvalidValueError(
            f"Too many combinations: {count}. run_sweep takes {most}; pass max_combinations= to allow more, or use "
            f"unitrack.sweep(..., strategy='random', n=...)"
        )


def _run_one(
    index: int, params: dict[str, Any], train_fn: Callable[..., Any], tracker: ExperimentTracker, results: SweepRuns
) -> None:
    run_id = tracker.start_run(f"sweep-{index}")
    try:
        tracker.log_params(params)
        metrics = train_fn(**params)
        if not isinstance(metrics, Mapping):
            raise InvalidTypeError(f"{name_of(train_fn)}() must return its metrics, got {type(metrics).__name__}")
        tracker.log_metrics(dict(metrics))
    except Exception as error:  # a failed combination is recorded; the others go on
        _end(tracker, "failed")
        results.failed.append({"run_id": run_id, "params": params, "error": f"{type(error).__name__}: {error}"})
        return
    except BaseException:
        _end(tracker, "killed")
        raise
    tracker.end_run()
    results.append({"run_id": run_id, "params": params, "metrics": metrics})


def _end(tracker: ExperimentTracker, status: str) -> None:
    """End the tracker's run with a status, if its `end_run` takes one."""
    end: Callable[..., None] = tracker.end_run
    try:
        takes_status = "status" in inspect.signature(end).parameters
    except (TypeError, ValueError):
        takes_status = False
    end(status) if takes_status else end()
