"""Starting a run: configuration, plugins, folder, journal, lanes, in this order; a configuration error raises here."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from unitrack import lifecycle
from unitrack.backend_variables import option_variables, with_key_variables
from unitrack.config import Resolved, Settings, resolve
from unitrack.config.settings import Experiment
from unitrack.delivery.ledger import highest_step
from unitrack.delivery.orders import Terms
from unitrack.disk_trouble import remedy
from unitrack.errors import ConfigError, DeliveryWarning, JournalError, RunExistsError
from unitrack.journal import JournalWriter
from unitrack.launcher import find_rank, is_restart, shared_run_id
from unitrack.limits import BEAT_GONE_S
from unitrack.manifest import LaneSpec, Manifest
from unitrack.owner import Owner
from unitrack.params import plain_text
from unitrack.plugins import Plugins, installed, make_lane
from unitrack.ranks import join_as_rank
from unitrack.records import GROUP, JOB_TYPE, PARENT, RunStart
from unitrack.redaction import redact, redact_text
from unitrack.run import Run
from unitrack.runfolder import RunFolder, find_run
from unitrack.unknown_variables import warn_of_unknown
from unitrack.validation import ValidationChain
from unitrack.warning import warn_caller

if TYPE_CHECKING:
    from unitrack.config import ExperimentConfig

Resume = Literal["never", "allow", "must", "auto"]
SinkChoice = str | Mapping[str, Mapping[str, Any] | None]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
"""What MLflow tags, W&B run ids (no `/\\#?%:`, at most 128 characters) and file names all take."""


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

    What is not given here comes from the environment, then from `unitrack.yaml` (see docs/configuration.md). `config`
    is such a file, a mapping like it, or an `ExperimentConfig`. `sinks` is a name of a backend, `{name: {options}}`, or
    a list of these. `tags` are names and values, or a list of names.
    `parent` (a run, or its id), `group` and `job_type` say how the run is related to others, in every backend.
    `run_id` names the run: with `resume="never"` it must be new, with "must" it must exist under `root`, with "allow"
    it may. With "auto" and no `run_id` it goes on with the run of this project, and of this name if one is given, that
    was started last, if that one failed or was killed. The default is "never", and "allow" where the launcher says that
    it has restarted the job.

    Raises `ConfigError` (a `ValueError`) for anything in the configuration that can't work: an unknown backend, a
    package that is missing, a bad option, a root that can't be written. Never for a backend that is down.
    """
    call = _call_layer(name, project, sinks, tags, description, delivery, root)
    relations = {"parent": None if parent is None else str(parent), "group": group, "job_type": job_type}
    call["experiment"] |= {key: value for key, value in relations.items() if value is not None}
    return start_resolved(resolve(config, call=call), params=params, run_id=run_id, resume=resume)


def start_resolved(
    resolved: Resolved, *, params: Any = None, run_id: str | None = None, resume: Resume | None = None
) -> Run:
    """Start a run whose configuration is already resolved, and make it the current one; see `start_run`."""
    from unitrack.current import started

    run = _start(resolved, params, run_id, resume)
    started.add(run)
    return run


def _start(resolved: Resolved, params: Any, run_id: str | None, resume: Resume | None) -> Run:
    plugins = installed()
    warn_of_unknown(os.environ, resolved.settings, plugins)
    if resolved.settings.tracking.mode != "disabled":
        backends = [
            plugins.backends[sink.backend] for sink in resolved.settings.sinks if sink.backend in plugins.backends
        ]
        resolved = with_key_variables(resolved, backends, os.environ)
    settings = resolved.settings
    if resume is None:
        resume = "allow" if is_restart() else "never"
    if not isinstance(resume, str) or resume not in get_args(Resume):
        raise ConfigError(f"resume must be 'never', 'allow', 'must' or 'auto', got {resume!r}")
    if run_id is not None and not (isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)):
        raise ConfigError(f"run_id {run_id!r} must be 1 to 64 letters, digits, '_', '-' or '.', starting with one")
    if resume == "must" and run_id is None:
        raise ConfigError("resume='must' needs the run_id to resume")
    if settings.tracking.mode == "disabled":
        return _disabled(_new_start(settings, run_id), params)
    rank = find_rank(settings.tracking.rank)
    if rank and settings.tracking.ranks == "zero":
        _seed(resolved)
        return _disabled(_new_start(settings, run_id), params)
    if rank is not None and settings.tracking.ranks == "all":
        run_id = run_id or shared_run_id()
    lanes = tuple(_lanes(resolved, plugins))
    if not lanes:
        return _disabled(_new_start(settings, run_id), params)  # each sink is switched off by its own options
    validation = ValidationChain(settings.safeguards, plugins.validators())
    root = Path(settings.tracking.root).absolute()  # couriers may work in another folder
    if rank and run_id is not None:
        _seed(resolved)
        return join_as_rank(root, run_id, rank, settings)
    existing = find_run(root, run_id) if run_id is not None else None
    if resume == "auto" and run_id is None:
        from unitrack.unfinished import find_unfinished

        existing = find_unfinished(root, settings.experiment.project, settings.experiment.name)
    if existing is not None and resume == "never":
        raise RunExistsError(f"run {run_id!r} exists in {existing.path}; pass resume='allow' to go on with it")
    if existing is None and resume == "must":
        raise RunExistsError(f"no run {run_id!r} under {root} to resume; is `root` right?")
    if existing is None:
        run = _create(root, settings, run_id, lanes, validation)
    else:
        run = _take_up(existing, settings, lanes, validation)
    run._delivery.start(run._folder, lanes, _terms(settings))
    lifecycle.watch(run)
    try:
        _log_beginnings(run, resolved, params)
    except BaseException:
        with contextlib.suppress(JournalError):  # the disk may be full for this as well
            run.finish("failed", timeout=0.0)
        raise
    return run


def _disabled(start: RunStart, params: Any) -> Run:
    from unitrack.disabled import DisabledRun

    return DisabledRun(start, params)


def _call_layer(
    name: str | None,
    project: str | None,
    sinks: SinkChoice | Sequence[SinkChoice] | None,
    tags: Mapping[str, Any] | Sequence[str] | None,
    description: str | None,
    delivery: str | None,
    root: str | os.PathLike[str] | None,
) -> dict[str, dict[str, Any]]:
    """What the caller gave, as a layer of configuration."""
    if sinks is not None and not isinstance(sinks, Iterable):
        raise ConfigError(f"sinks: expected names of backends, or a mapping of options by name, got {sinks!r}")
    experiment = {
        "name": name,
        "project": project,
        "description": description,
        "tags": {plain_text(tag): plain_text(value) for tag, value in tags.items()}
        if isinstance(tags, Mapping)
        else tags,
    }
    tracking = {
        "sinks": sinks if sinks is None or isinstance(sinks, str | Mapping) else list(sinks),
        "delivery": delivery,
        "root": os.fspath(root) if isinstance(root, os.PathLike) else root,
    }
    layers: dict[str, dict[str, Any]] = {"experiment": experiment, "tracking": tracking}
    return {
        section: {key: value for key, value in keys.items() if value is not None} for section, keys in layers.items()
    }


def _lanes(resolved: Resolved, plugins: Plugins) -> Iterable[LaneSpec]:
    single: dict[str, str] = {}
    for sink in resolved.settings.sinks:
        dotted = f"tracking.sinks.{sink.name}"
        places = {
            key.removeprefix(dotted).lstrip("."): at for key, at in resolved.places.items() if key.startswith(dotted)
        }
        try:
            backend = plugins.backend(sink.backend)
        except ConfigError as error:
            place = places.get("", "call")
            raise ConfigError(str(error) if place in ("call", "config") else f"{place}: {error}") from None
        if backend.once_per_run and single.setdefault(backend.name, sink.name) != sink.name:
            raise ConfigError(
                f"sinks {single[backend.name]!r} and {sink.name!r} would write the same files: "
                f"{backend.name!r} can be in a run only once"
            )
        options = dict(sink.options)
        for variable, text in option_variables(backend, options, resolved.origins, os.environ):
            options[variable.option] = text
            places[variable.option] = f"environment {variable.name}"
        lane = make_lane(sink.name, backend, options, places)
        if not msgspec.convert(lane.options, backend.options).is_disabled():
            yield lane


def _new_start(settings: Settings, run_id: str | None) -> RunStart:
    experiment, patterns = settings.experiment, settings.safeguards.redact_patterns
    return RunStart(
        seq=0,
        time=time.time_ns() // 1_000_000,
        run_id=run_id or os.urandom(6).hex(),
        name=redact_text(plain_text(experiment.name or ""), patterns) or f"run_{datetime.now():%Y%m%d_%H%M%S}",
        project=redact_text(plain_text(experiment.project or ""), patterns),
        description=redact_text(plain_text(experiment.description), patterns),
        tags=redact(experiment.tags | _relations(experiment), "", settings.safeguards.redact, patterns),
    )


def _relations(experiment: Experiment) -> dict[str, str]:
    related = {PARENT: experiment.parent, GROUP: experiment.group, JOB_TYPE: experiment.job_type}
    return {tag: plain_text(value) for tag, value in related.items() if value is not None}


def _create(
    root: Path, settings: Settings, run_id: str | None, lanes: tuple[LaneSpec, ...], validation: ValidationChain
) -> Run:
    start = _new_start(settings, run_id)
    folder = RunFolder.claim(root, start.name)
    try:
        journal = _begin_journal(folder, start, lanes, settings)
    except OSError:
        folder.discard()
        raise
    return _make_run(start, folder, settings, journal, validation)


def _begin_journal(
    folder: RunFolder, start: RunStart, lanes: tuple[LaneSpec, ...], settings: Settings
) -> JournalWriter:
    """The journal of a run, its first record in it, once the manifest names it. Raises `JournalError`."""
    journal = JournalWriter(folder.spool)
    try:
        _write_manifest(folder, start, journal, lanes, settings)
        journal.copy(start)
    except OSError as error:
        journal.close()
        if isinstance(error, JournalError):
            raise
        raise JournalError(
            error.errno, f"the run was not started ({error.strerror}); {remedy(error.errno)}", error.filename
        ) from error
    return journal


def _take_up(folder: RunFolder, settings: Settings, lanes: tuple[LaneSpec, ...], validation: ValidationChain) -> Run:
    """Go on with a run that exists: a new journal in its spool, its identity kept."""
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
        folder.forget_ranks()
        journal = _begin_journal(folder, before.run, lanes, settings)
    run = _make_run(before.run, folder, settings, journal, validation)
    run._next_step = highest_step(folder) + 1
    return run


def _wait_while_unknown(folder: RunFolder) -> None:
    """Wait until an owner on another machine is known to live or to be gone, at most `BEAT_GONE_S` seconds."""
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
            return  # it lives
        before = now


def _write_manifest(
    folder: RunFolder, start: RunStart, journal: JournalWriter, lanes: tuple[LaneSpec, ...], settings: Settings
) -> None:
    shown = tuple(
        msgspec.structs.replace(lane.entry, options=redact(lane.options, "", settings.safeguards.redact))
        for lane in lanes
    )
    folder.write_manifest(
        Manifest(
            run=start,
            owner=Owner.current(journal.writer),
            sinks=shown,
            log_frequency=settings.logging.log_frequency,
        )
    )


def _make_run(
    start: RunStart, folder: RunFolder, settings: Settings, journal: JournalWriter, validation: ValidationChain
) -> Run:
    from unitrack.delivery.modes import DELIVERIES  # here: it imports subprocess and all of delivery

    delivery = DELIVERIES[settings.tracking.delivery]()
    return Run(start, folder, settings, journal, delivery, validation)


def _terms(settings: Settings) -> Terms:
    linger = settings.tracking.linger
    return Terms(
        sample_every=settings.logging.system_metrics_interval if settings.logging.log_system_metrics else None,
        linger=None if linger == "forever" else linger,
        nice=settings.tracking.courier_nice,
        take_up=settings.tracking.take_up,
    )


def _log_beginnings(run: Run, resolved: Resolved, params: Any) -> None:
    """What the configuration asks to have in every run."""
    from unitrack.reproduce.environment import capture_environment, capture_git

    settings = resolved.settings
    if params is not None:
        run.log_params(params)
    reproducibility = settings.reproducibility
    if _seed(resolved):
        run.log_params({"random_seed": reproducibility.random_seed})
    if reproducibility.log_environment:
        run.log_params(capture_environment())
    elif reproducibility.log_git_hash:
        run.log_params(capture_git())
    if settings.artifacts.save_config:
        run.log_dict(msgspec.to_builtins(settings), "config.yaml")


def _seed(resolved: Resolved) -> bool:
    """Seed this process, whatever its rank, if the configuration gives a seed; whether it does."""
    if resolved.origins["reproducibility.random_seed"] == "default":
        return False
    from unitrack.reproduce.seeds import seed_everything

    seed_everything(resolved.settings.reproducibility.random_seed)
    return True
