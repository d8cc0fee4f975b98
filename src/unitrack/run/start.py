"""Starting a run: configuration, plugins, folder, journal, lanes, in this order; a configuration error raises here."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from unitrack.config import Resolved, resolve
from unitrack.delivery.ledger import highest_step
from unitrack.errors import DeliveryWarning, JournalError, RunExistsError, warn_caller
from unitrack.journal import JournalWriter
from unitrack.limits import BEAT_GONE_S
from unitrack.plugins.registry import installed
from unitrack.records import RunStart
from unitrack.run.launcher import find_rank
from unitrack.run.lifecycle import live
from unitrack.run.metrics import Watcher
from unitrack.run.parts import Parts, owner_parts
from unitrack.run.plan import Plan, Resume, SinkChoice, call_layer, make_plan, manifest_of, new_start, terms_of
from unitrack.run.ranks import join_as_rank
from unitrack.run.run import Run
from unitrack.run.trial_run import VARIABLE as TRIAL_VARIABLE
from unitrack.run.trial_run import TrialRun
from unitrack.run.unfinished import find_unfinished
from unitrack.run.unknown_variables import warn_of_unknown
from unitrack.runfolder.find import find_run
from unitrack.runfolder.rank_files import RankFiles
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.disk import remedy
from unitrack.validation import ValidationChain

if TYPE_CHECKING:
    from unitrack.config import ExperimentConfig
    from unitrack.environment.seeds import Seeds
    from unitrack.run.reruns import RerunTerms

RERUN = "UNITRACK_RERUN"
"""Set by `unitrack rerun` for the program that it starts: see `unitrack.run.reruns`."""


def start_run(
    name: str | None = None,
    *,
    project: str | None = None,
    sinks: SinkChoice | Sequence[SinkChoice] | None = None,
    config: ExperimentConfig | Mapping[str, Any] | str | Path | None = None,
    tags: Mapping[str, Any] | Sequence[str] | None = None,
    description: str | None = None,
    parent: Run | str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    params: Any = None,
    run_id: str | None = None,
    resume: Resume | None = None,
    delivery: Literal["process", "thread", "inline"] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Run:
    """Start a run and return its handle.

    Settings that are not given here come from the environment, then from `unitrack.yaml`;
    docs/reference/configuration.md has every key. `config` is such a file, a mapping like it, or an `ExperimentConfig`.
    `sinks` is a name of a backend, `{name: {options}}`, or a list of these. `tags` are names and values, or a list of
    names. `parent` (a run, or its id), `group` and `job_type` say how the run is related to others, in every backend.
    `run_id` names the run: with `resume="never"` it must be new, with "must" it must exist under `root`, with "allow"
    it may. With "auto" and no `run_id` it goes on with the run of this project, and of this name if one is given, that
    was started last, if that one failed or was killed. The default is "never", and "allow" where the launcher says that
    it has restarted the job.

    In a notebook, a run that an earlier cell has left open is finished first, unless it is the `parent`.

    Raises `ConfigError` (a `ValueError`) for an error in the configuration: an unknown backend, a missing package, a
    bad option, a root that can't be written. A backend that is down raises nothing.
    """
    call = call_layer(name, project, sinks, tags, description, delivery, root)
    relations = {"parent": None if parent is None else str(parent), "group": group, "job_type": job_type}
    call["experiment"] |= {key: value for key, value in relations.items() if value is not None}
    resolved = resolve(config, call=call, shared_options=installed().shared_options)
    from unitrack.run.current import started  # noqa: PLC0415  # contextvars and inspect cost 1 ms, which `import unitrack` need not

    if "IPython" in sys.modules:
        from unitrack.run.cells import cells  # noqa: PLC0415  # only for notebooks

        cells.end_earlier_runs(relations["parent"])
        run = start_resolved(resolved, params=params, run_id=run_id, resume=resume)
        cells.add(run)
    else:
        run = start_resolved(resolved, params=params, run_id=run_id, resume=resume)
    started.tell(run)
    return run


def start_resolved(
    resolved: Resolved,
    *,
    params: Any = None,
    run_id: str | None = None,
    resume: Resume | None = None,
    watcher: Watcher | None = None,
    is_new: bool = False,
) -> Run:
    """Start a run whose configuration is already resolved, and make it the current one; see `start_run`.

    `watcher` gets each point that is logged. `is_new` says that no run has this id, so that the folders of all runs
    need not be looked through for it.
    """
    from unitrack.run.current import started  # noqa: PLC0415  # contextvars and inspect cost 1 ms, which `import unitrack` need not

    terms = _rerun_terms()
    if terms is not None:
        resolved, (run_id, resume) = terms.applied(resolved), terms.identity(run_id, resume)
    run = _start(resolved, params, run_id, resume, watcher, terms, is_new=is_new)
    if terms is not None:
        terms.report(run)
    started.add(run)
    return run


def _rerun_terms() -> RerunTerms | None:
    """Return what `unitrack rerun` wants of the runs of its program; None outside of one."""
    text = os.environ.get(RERUN)
    if text is None:
        return None
    from unitrack.run.reruns import read_terms  # noqa: PLC0415  # only for reruns

    return read_terms(text)


def _start(
    resolved: Resolved,
    params: Any,
    run_id: str | None,
    resume: Resume | None,
    watcher: Watcher | None,
    terms: RerunTerms | None,
    *,
    is_new: bool,
) -> Run:
    plugins = installed()
    warn_of_unknown(os.environ, resolved.settings, plugins)
    plan = make_plan(resolved, plugins, run_id, resume, os.environ)
    if terms is not None:
        plan = msgspec.structs.replace(plan, lanes=tuple(map(terms.at_home, plan.lanes)))
    settings = plan.settings
    if not plan.lanes:
        if plan.is_other_rank:
            _seed(plan.resolved)
        return _disabled(new_start(settings, plan.run_id), params, find_rank(settings.tracking.rank) or 0, watcher)
    trial = TrialRun.around_here(os.environ) if TRIAL_VARIABLE in os.environ else None
    if trial is not None:
        if (run := trial.take(plan, run_id)) is not None:
            return _begun(run, plan, params)
        plan = msgspec.structs.replace(plan, resolved=trial.as_parent(plan.resolved))
        settings, watcher = plan.settings, watcher or trial.mirror(settings)
    validation = ValidationChain(settings.safeguards, plugins.validators(), plugins.stores())
    validation.is_non_finite_open = plan.resolved.origins["safeguards.non_finite"] == "default"
    root = Path(settings.tracking.root).absolute()  # couriers may work in another folder
    if plan.is_other_rank and plan.run_id is not None:
        _seed(plan.resolved)
        return join_as_rank(root, plan.run_id, plan.rank or 0, settings)
    existing = None if is_new else _find_existing(root, plan)
    parts = _create(root, plan, validation) if existing is None else _take_up(existing, plan, validation)
    live.watch(parts.ending)
    if watcher is not None:
        parts.metrics.watch(watcher)
    return _begun(Run(parts), plan, params)


def _begun(run: Run, plan: Plan, params: Any) -> Run:
    """Log what the configuration wants in every run, and return the run. If that fails, the run has failed."""
    try:
        _log_configured(run, plan.resolved, params)
    except BaseException:
        with contextlib.suppress(JournalError):  # the disk may be full for this as well
            run.finish("failed", timeout=0.0)
        raise
    return run


def _find_existing(root: Path, plan: Plan) -> RunFolder | None:
    """Return the folder of the run to resume, or None. Raises `RunExistsError` if `resume` forbids or misses one."""
    run_id, resume = plan.run_id, plan.resume
    existing = find_run(root, run_id) if run_id is not None else None
    if resume == "auto" and run_id is None:
        experiment = plan.settings.experiment
        existing = find_unfinished(root, experiment.project, experiment.name)
    if existing is not None and resume == "never":
        raise RunExistsError(f"run {run_id!r} exists in {existing.path}; pass resume='allow' to go on with it")
    if existing is None and resume == "must":
        raise RunExistsError(f"no run {run_id!r} under {root} to resume; is `root` right?")
    return existing


def _disabled(start: RunStart, params: Any, rank: int, watcher: Watcher | None) -> Run:
    from unitrack.run.disabled import DisabledRun  # noqa: PLC0415  # tempfile and shutil cost 4 ms

    run = DisabledRun(start, params, rank)
    if watcher is not None:
        run.observe(watcher)
    return run


def _create(root: Path, plan: Plan, validation: ValidationChain) -> Parts:
    """Begin a run in a folder of its own."""
    start = new_start(plan.settings, plan.run_id)
    folder = RunFolder.claim(root, start.name)
    try:
        journal = _begin_journal(folder, start, plan)
    except OSError:
        folder.discard()
        raise
    return _deliver(start, folder, plan, journal, validation)


def _take_up(folder: RunFolder, plan: Plan, validation: ValidationChain) -> Parts:
    """Resume an existing run, with its identity and a new journal in its spool."""
    _wait_while_unknown(folder)
    with folder.spool_lock():
        before = folder.read_manifest()
        if folder.is_open(before.owner):
            where = "this process" if before.owner.pid == os.getpid() else f"process {before.owner.pid}"
            if not before.owner.is_near():
                where = f"process {before.owner.pid} of host {before.owner.host} or another container"
            raise RunExistsError(f"run {before.run.run_id!r} is still open in {where}; finish it there first")
        folder.prepare()
        folder.ended_file.unlink(missing_ok=True)
        RankFiles(folder).forget()
        journal = _begin_journal(folder, before.run, plan)
    highest = highest_step(folder)  # before couriers start, which delete delivered records
    parts = _deliver(before.run, folder, plan, journal, validation)
    parts.metrics.reach(highest)
    parts.params.earlier = functools.partial(_earlier_params, folder)
    return parts


def _earlier_params(folder: RunFolder) -> dict[str, Any]:
    from unitrack.run.earlier_params import read_earlier  # noqa: PLC0415  # only where the params of a resumed run are read

    return read_earlier(folder)


def _begin_journal(folder: RunFolder, start: RunStart, plan: Plan) -> JournalWriter:
    """Write the manifest, and return the new journal with its first record. Raises `JournalError`."""
    journal = JournalWriter(folder.spool)
    try:
        folder.write_manifest(manifest_of(start, journal, plan.lanes, plan.settings))
        journal.copy(start)
    except OSError as error:
        journal.close()
        if isinstance(error, JournalError):
            raise
        raise JournalError(
            error.errno, f"the run was not started ({error.strerror}); {remedy(error.errno)}", error.filename
        ) from error
    return journal


def _deliver(
    start: RunStart, folder: RunFolder, plan: Plan, journal: JournalWriter, validation: ValidationChain
) -> Parts:
    """Start the delivery of a run, and return its parts."""
    from unitrack.delivery.modes import DELIVERIES  # noqa: PLC0415  # subprocess costs 4 ms, which imports need not

    delivery = DELIVERIES[plan.settings.tracking.delivery]()
    terms = terms_of(plan.settings)
    is_watched = terms.alerts is not None
    parts = owner_parts(start, folder, plan.settings, journal, delivery, validation, is_watched=is_watched)
    delivery.start(folder, plan.lanes, terms)
    return parts


def _wait_while_unknown(folder: RunFolder) -> None:
    """Wait until an owner on another machine is known to be alive or gone, at most `BEAT_GONE_S` seconds."""
    owner = folder.read_manifest().owner
    before = folder.silent_for(owner)
    if owner.is_near() or before is None or not folder.is_open(owner) or folder.holds_lock(owner):
        return
    warn_caller(
        f"process {owner.pid} on host {owner.host} gave its last sign of life {before:.0f} s ago: waiting until it "
        f"gives another one or has been silent for {BEAT_GONE_S:.0f} s",
        DeliveryWarning,
    )
    deadline = time.monotonic() + BEAT_GONE_S
    while folder.is_open(owner) and time.monotonic() < deadline:
        time.sleep(0.2)
        now = folder.silent_for(owner)
        if now is None or now < before:
            return  # it is alive
        before = now


def _log_configured(run: Run, resolved: Resolved, params: Any) -> None:
    """Log what the configuration wants in every run: seed, environment, git commit, configuration."""
    settings = resolved.settings
    for name, when in settings.alerts.rules.items():
        run.alert(name, when=when)
    if params is not None:
        run.log_params(params)
    reproducibility = settings.reproducibility
    if seeds := _seed(resolved):
        run.log_params(seeds.params())
    else:
        _log_seed_of_process(run)
    if reproducibility.log_environment:
        run.log_environment()
    elif reproducibility.log_git_hash:
        from unitrack.environment.snapshot import capture_git  # noqa: PLC0415  # subprocess costs 4 ms

        run.log_params(capture_git())
    if settings.artifacts.save_config:
        run.log_dict(msgspec.to_builtins(settings), "config.yaml")


def _seed(resolved: Resolved) -> Seeds | None:
    """Seed this process, on every rank, if the configuration gives a seed, and return what was seeded."""
    if resolved.origins["reproducibility.random_seed"] == "default":
        return None
    from unitrack.environment.seeds import seed_everything  # noqa: PLC0415  # random costs 1 ms

    return seed_everything(resolved.settings.reproducibility.random_seed, is_configured=True)


def _log_seed_of_process(run: Run) -> None:
    """Log the seed that `unitrack.seed_everything` has set in this process, unless the run has one from its params."""
    module = sys.modules.get("unitrack.environment.seeds")  # not imported: nothing was seeded
    seeds: Seeds | None = None if module is None else module.latest.seeds
    if seeds is not None and not seeds.is_configured and "random_seed" not in run.config:
        run.log_params(seeds.params())
