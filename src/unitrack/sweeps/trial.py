"""One trial of a sweep: a child run in which the train function is called. It needs no Optuna unless it prunes."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config import Resolved
from unitrack.errors import ConfigError, InvalidTypeError, InvalidValueError, TrialPruned, UnitrackError
from unitrack.names import nearest
from unitrack.run.run import Run
from unitrack.run.start import start_resolved
from unitrack.sweeps.calling import Call, TrainFunction, name_of
from unitrack.sweeps.outcome import TrialOutcome, TrialStatus
from unitrack.sweeps.reporting import Reporter, ReportPlace
from unitrack.sweeps.trial_files import TrialFiles
from unitrack.validation import validate_metric

ERROR_TAG = "unitrack.error"
"""The tag of a run that holds why its trial failed."""


class TrialSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a process needs to run one trial. It can be pickled if the train function and the params can."""

    number: int
    params: dict[str, Any]
    train_fn: TrainFunction
    call: Call = Call()
    metric: str
    resolved: Resolved
    """The configuration of the trial's run, its name and relations included."""
    run_id: str
    folder: Path
    """The sweep's own folder, which may be on another machine."""
    report_to: ReportPlace | None = None
    """Where the metric is reported as it is logged; None without a pruner."""
    timeout: float | None = None
    """Seconds after which the process ends itself."""
    agent: int = 0
    """The pid of the agent, which must not end itself."""


def run_trial(spec: TrialSpec) -> TrialOutcome:
    """Run a trial as a run of its own, and return how it ended. An exception of the train function is an outcome.

    Raises only `ConfigError` for a run that can't be started, `JournalError` if its folder can't be written, and what
    ends the process: KeyboardInterrupt and SystemExit, after which the run has ended as killed.
    """
    files = TrialFiles(spec.folder, spec.number)
    if files.where_it_hung() is not None:  # an executor that repeats what its workers died of
        return timed_out(spec.number, spec.timeout or 0.0, files)
    is_repeated, is_new = files.has_begun, files.are_here and not files.has_begun
    files.begin()
    outcome = None
    try:
        with _deadline(spec, files):
            outcome = _run(spec, is_repeated=is_repeated, is_new=is_new)
        return outcome
    finally:
        files.end(outcome)


def timed_out(number: int, timeout: float, files: TrialFiles) -> TrialOutcome:
    """Return the outcome of a trial that took too long."""
    return TrialOutcome(
        number=number,
        status="failed",
        error=f"it took longer than trial_timeout={timeout:g} seconds",
        traceback=files.where_it_hung() or "",
        seconds=timeout,
    )


@contextlib.contextmanager
def _deadline(spec: TrialSpec, files: TrialFiles) -> Iterator[None]:
    """End this process if the block takes too long, even where it hangs in C and no other thread can run."""
    if spec.timeout is None:
        yield
        return
    if spec.agent == os.getpid():
        raise ConfigError("trial_timeout needs trials in processes of their own: executor='processes'")
    with open(files.hang if files.are_here else os.devnull, "w") as file:
        faulthandler.dump_traceback_later(spec.timeout, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _run(spec: TrialSpec, *, is_repeated: bool, is_new: bool) -> TrialOutcome:
    started = time.monotonic()
    watch = Reporter(spec.metric, spec.report_to)
    run = start_resolved(
        spec.resolved,
        params=spec.params or None,
        run_id=spec.run_id,
        resume="allow",
        watcher=watch.see,
        is_new=is_new,
    )
    try:
        if is_repeated:  # what the first process logged is superseded
            run.load_state_dict({"run_id": run.id, "step": 0})
        outcome = _train(spec, run, watch)
        if outcome.error:
            run.set_tags({ERROR_TAG: outcome.error})
    except BaseException:
        run.finish("killed", wait=False)
        raise
    run.finish(outcome.status, wait=False)
    return msgspec.structs.replace(outcome, seconds=time.monotonic() - started, folder=str(run.path))


def _train(spec: TrialSpec, run: Run, watch: Reporter) -> TrialOutcome:
    try:
        returned = spec.call(spec.train_fn, run, spec.params, watch)
        metrics = _log_returned(run, returned, spec, watch)
        return TrialOutcome(
            number=spec.number, status="finished", value=_value_of(spec, metrics), metrics=_finite(metrics)
        )
    except Exception as error:  # a failed trial is a result, not the end of the sweep
        status: TrialStatus = "pruned" if _is_pruned(error) else "failed"
        return TrialOutcome(
            number=spec.number,
            status=status,
            value=_finite(watch.last).get(spec.metric) if status == "pruned" else None,
            metrics=_finite(watch.last),
            error="" if status == "pruned" else _text_of(error),
            traceback="" if status == "pruned" else "".join(traceback.format_exception(error)),
        )


def _text_of(error: Exception) -> str:
    return str(error) if isinstance(error, UnitrackError) else f"{type(error).__name__}: {error}"


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _is_pruned(error: Exception) -> bool:
    """Return whether training was stopped by the pruner: by ours, or by a function written for Optuna."""
    return isinstance(error, TrialPruned) or any(
        base.__name__ == "TrialPruned" and base.__module__.startswith("optuna.") for base in type(error).__mro__
    )


def _log_returned(run: Run, returned: Any, spec: TrialSpec, watch: Reporter) -> dict[str, float]:
    """Log what the train function returned, unless it logged the same before, and return the last of all metrics."""
    if returned is None:
        return dict(watch.last)
    if isinstance(returned, Mapping):
        numbers = {str(name): value for name, value in returned.items() if name == spec.metric or _is_number(value)}
    elif _is_number(returned):
        numbers = {spec.metric: returned}
    else:
        raise InvalidTypeError(
            f"{name_of(spec.train_fn)}() must return its metrics, a number or nothing, got {type(returned).__name__}"
        )
    values = {name: validate_metric(name, value) for name, value in numbers.items()}
    watch.is_over = True
    if new := {name: value for name, value in values.items() if watch.last.get(name) != value}:
        run.log_metrics(new, step=max(watch.step, 0))
    return {**watch.last, **values}


def _is_number(value: Any) -> bool:
    """Return whether a value is a number, a NumPy scalar, or an array or tensor without dimensions."""
    return isinstance(value, Real) or (hasattr(value, "item") and getattr(value, "ndim", None) == 0)


def _value_of(spec: TrialSpec, metrics: Mapping[str, float]) -> float:
    """Return the metric that the sweep optimizes. Raises `InvalidValueError` if it is not there, or not finite."""
    name = spec.metric
    if name in metrics:
        if not math.isfinite(metrics[name]):
            raise InvalidValueError(f"Metric {name} is NaN or Inf: {metrics[name]!r}")
        return metrics[name]
    meant = nearest(name, metrics)
    there = f"; it has {', '.join(map(repr, sorted(metrics)[:5]))}" if metrics else ""
    guess = f"; did you mean metric={meant!r}?" if meant else there
    raise InvalidValueError(f"{name_of(spec.train_fn)}() neither returned nor logged {name!r}{guess}")
