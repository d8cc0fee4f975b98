"""`unitrack.sweep`: trials of a train function, one after the other or many at a time, each a run of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unitrack.config import Resolved, resolve
from unitrack.delivery.modes import DeliveryByOwner
from unitrack.delivery.waiting import RunWait, wait_for_runs
from unitrack.errors import ConfigError, SweepError
from unitrack.limits import MAX_GRID, TRIAL_RETRIES
from unitrack.plugins.registry import installed
from unitrack.run.launcher import find_rank
from unitrack.run.plan import SinkChoice, call_layer
from unitrack.runfolder.run_folder import RunFolder
from unitrack.sweeps.agent import Agent, TrialTerms, check_timeout, with_experiment
from unitrack.sweeps.calling import TrainFunction, make_call
from unitrack.sweeps.outcome import TrialResult
from unitrack.sweeps.overview import Overview
from unitrack.sweeps.parent import ParentRun
from unitrack.sweeps.place import new_sweep_name, place_of
from unitrack.sweeps.progress import make_progress
from unitrack.sweeps.result import SweepResult
from unitrack.sweeps.space import Space, SpaceFunction, SpaceLike, read_space
from unitrack.sweeps.strategies import GRID, make_pruner, make_sampler
from unitrack.sweeps.study import Mode, SweepStudy, open_study
from unitrack.sweeps.workers import ExecutorLike, Workers

if TYPE_CHECKING:
    from unitrack.config import ExperimentConfig


def sweep(
    train_fn: TrainFunction,
    space: SpaceLike,
    *,
    strategy: Any = "tpe",
    n: int | None = None,
    metric: str = "loss",
    mode: Mode = "min",
    name: str | None = None,
    executor: ExecutorLike | None = None,
    workers: int = 1,
    prune: Any = None,
    seed: int | None = None,
    storage: str | None = None,
    target: float | None = None,
    trial_timeout: float | None = None,
    retries: int = TRIAL_RETRIES,
    progress: bool = True,
    on_trial: Callable[[TrialResult], None] | None = None,
    project: str | None = None,
    sinks: SinkChoice | Sequence[SinkChoice] | None = None,
    config: ExperimentConfig | Mapping[str, Any] | str | Path | None = None,
    tags: Mapping[str, Any] | Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> SweepResult:
    """Search for good params: call `train_fn` with different ones, each time in a run of its own; return all trials.

    `train_fn` is called with the params by name, or with one mapping of them if it has a single argument of another
    name; an argument `run` in front gets the trial's `Run`. It returns its metrics (a mapping, or the number to
    optimize) or logs them with `run.log_metrics` or `unitrack.log_metrics`; of a metric that is logged the last value
    counts. An exception makes the trial a failed one, and the sweep goes on.

    `space`: names and what they may be: a list of values; (low, high) or (low, high, "log"); `unitrack.sweeps.uniform`,
    `log_uniform`, `integers`, `choice`; a distribution of Optuna; a mapping, for nested params; anything else is the
    same in all trials. Or a function of an Optuna trial, which suggests the params and returns them.

    `strategy`: "grid", "random", "tpe", "cmaes", "gp", "nsga2", "nsga3", "qmc" or a sampler of Optuna. `n`: how many
    trials, over all agents and sessions; a grid needs none. `prune`: "median", "hyperband", "asha", "percentile" or a
    pruner of Optuna: `run.log_metrics` of `metric` then raises `TrialPruned` in a trial that is not worth finishing.
    `seed`: of the strategy; with one agent the same trials come out, interrupted or not.

    `name`: a sweep of this name that is there goes on: trials that have ended are not repeated, those of dead processes
    are tried again, at most `retries` times. `storage`: the URL of a database (PostgreSQL, for agents on many
    machines); by default the study is a file below the root, for agents on one machine.

    `workers`: trials that run at a time. `executor`: "processes", "threads", "dask", "ray", "slurm", an executor of
    `concurrent.futures`, or a function that makes one; by default this process for one worker, else "processes".
    `trial_timeout`: seconds after which a trial is ended and counts as failed; it needs processes. `target`: no new
    trial begins once one is as good. `on_trial` is called with each trial that ends. The other arguments are those of
    `start_run`.

    Raises `ConfigError` before anything starts for a mistake in the space, the names or the numbers, `SweepError` if
    each trial failed, `MissingPackageError` without Optuna.
    """
    if mode not in ("min", "max"):
        raise ConfigError(f"mode must be 'min' or 'max', got {mode!r}")
    read: Space | SpaceFunction = space if callable(space) else read_space(space)
    call = make_call(train_fn, read.names(), read.certain_names()) if isinstance(read, Space) else None
    budget = _budget(read, strategy, n)
    group = Workers(executor, workers)
    check_timeout(trial_timeout, group)
    resolved = resolve_runs(project, sinks, config, tags, root)
    sampler, pruner = make_sampler(strategy, seed, in_parallel=workers > 1), make_pruner(prune)
    study = open_study(
        place_of(resolved.settings.tracking.root, name or new_sweep_name(), storage),
        metric=metric,
        mode=mode,
        strategy=strategy if isinstance(strategy, str) else type(strategy).__name__,
        sampler=sampler,
        pruner=pruner,
        space=read,
        retries=retries,
    )
    if strategy == GRID and isinstance(read, Space):
        study.add_grid(read, budget)
    terms = TrialTerms(
        train_fn=train_fn,
        call=call,
        n=budget,
        resolved=resolved,
        pruner=pruner,
        timeout=trial_timeout,
        target=target,
    )
    return _run(study, terms, group, is_shown=progress, on_trial=on_trial)


def _run(
    study: SweepStudy,
    terms: TrialTerms,
    workers: Workers,
    *,
    is_shown: bool,
    on_trial: Callable[[TrialResult], None] | None,
) -> SweepResult:
    """Run trials until there are enough, and return all."""
    identity, place = study.identity, study.place
    overview = Overview(place.name, identity.metric, identity.mode, terms.n, study.results)
    progress = make_progress(overview, is_shown=is_shown)
    parent = ParentRun(
        study, with_experiment(terms.resolved, name=place.name, group=place.name, job_type="sweep"), terms.n
    )
    for trial in overview.trials:
        parent.note(trial)
    with workers, parent, progress:

        def on_result(trial: TrialResult) -> None:
            parent.log(trial)
            progress.show(trial)
            if on_trial is not None:
                on_trial(trial)

        agent = Agent(study, terms, workers, on_result)
        agent.run()
        result = _result(study, terms)
        parent.log_result(result.table())
    _wait_for_delivery(agent.folders, terms.resolved)
    if result and len(result.failed) == len(result):
        raise SweepError(
            f"all {len(result)} trials of sweep {place.name!r} failed; the first: {result.failed[0].error}"
        )
    return result


def _result(study: SweepStudy, terms: TrialTerms) -> SweepResult:
    identity, root = study.identity, Path(terms.resolved.settings.tracking.root).expanduser().absolute()
    return SweepResult(
        study.place.name,
        identity.metric,
        identity.mode,
        study.results(),
        run_id=identity.parent,
        root=root,
        study=study.study,
    )


def _wait_for_delivery(folders: Sequence[str], resolved: Resolved) -> None:
    """Wait until the sinks have the trials' runs, at most `tracking.finish_timeout` seconds; couriers then go on."""
    tracking = resolved.settings.tracking
    sinks = [sink.name for sink in resolved.settings.sinks]
    here = [RunFolder(Path(folder)) for folder in folders if Path(folder).is_dir()]
    runs = [RunWait(folder, sinks, DeliveryByOwner(folder), "complete", patient=False) for folder in here]
    wait_for_runs(runs, time.monotonic() + tracking.finish_timeout)


def resolve_runs(project: Any, sinks: Any, config: Any = None, tags: Any = None, root: Any = None) -> Resolved:
    """Return the configuration of a sweep's runs.

    Where this process is a rank, as a task of a Slurm step is, it is an agent like the others: its trials are runs of
    their own, not ranks of one.
    """
    call = call_layer(None, project, sinks, tags, None, None, root)
    resolved = resolve(config, call=call, shared_options=installed().shared_options)
    settings = resolved.settings
    if find_rank(settings.tracking.rank) is None:
        return resolved
    tracking = msgspec.structs.replace(settings.tracking, rank=0, ranks="zero")
    return msgspec.structs.replace(resolved, settings=msgspec.structs.replace(settings, tracking=tracking))


def _budget(space: Space | SpaceFunction, strategy: Any, n: int | None) -> int:
    """Return the number of trials. Raises `ConfigError` for a search without `n`, and for a wrong one."""
    if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
        raise ConfigError(f"n must be a number of trials, at least 1, got {n!r}")
    if strategy != GRID:
        if n is None:
            raise ConfigError(f"strategy={strategy!r} needs n=, the number of trials")
        return n
    if not isinstance(space, Space):
        raise ConfigError("strategy='grid' needs a space that is a mapping: a function has no grid")
    size = space.grid_size()
    if n is None and size > MAX_GRID:
        raise ConfigError(
            f"the grid has {size:,} combinations, more than {MAX_GRID:,}: give n=, fewer values, or strategy='random'"
        )
    return size if n is None else min(n, size)
