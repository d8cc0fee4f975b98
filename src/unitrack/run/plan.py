"""Planning how a run starts: its identity, its rank, its lanes. Nothing is written or delivered here."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec

from unitrack.config import Resolved, Settings
from unitrack.config.settings import Experiment
from unitrack.delivery.courier.protocol import Terms
from unitrack.errors import ConfigError
from unitrack.journal import JournalWriter
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import Plugins
from unitrack.plugins.variables import sink_with_variables, with_key_variables
from unitrack.records import GROUP, JOB_TYPE, PARENT, RunStart
from unitrack.run.alert_log import alert_terms
from unitrack.run.launcher import find_crowd, find_rank, is_restart, shared_run_id
from unitrack.runfolder.manifest import LaneSpec, Manifest
from unitrack.system.processes import Owner
from unitrack.values.codec import convert
from unitrack.values.plain import plain_text
from unitrack.values.redaction import redact, redact_text
from unitrack.values.run_names import new_run_name

Resume = Literal["never", "allow", "must", "auto"]
SinkChoice = str | Mapping[str, Mapping[str, Any] | None]

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
"""Accepted by MLflow tags, W&B run ids (no `/\\#?%:`, at most 128 characters) and file names."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a run starts."""

    resolved: Resolved
    """The configuration, with the environment variables of the backends' own tools applied."""
    run_id: str | None
    """The id that the caller gave, or that all ranks share; None for a new one."""
    resume: Resume
    rank: int | None
    """None without a launcher."""
    lanes: tuple[LaneSpec, ...]
    """Empty if nothing is recorded: tracking is disabled, or this rank does not log."""

    @property
    def settings(self) -> Settings:
        """The settings of the configuration."""
        return self.resolved.settings

    @property
    def is_other_rank(self) -> bool:
        """Whether this process is a rank other than 0, which does not start the run."""
        return bool(self.rank)


def make_plan(
    resolved: Resolved, plugins: Plugins, run_id: str | None, resume: Resume | None, environ: Mapping[str, str]
) -> Plan:
    """Return how a run with this configuration starts in this process. Raises `ConfigError` for a bad configuration."""
    is_disabled = resolved.settings.tracking.mode == "disabled"
    if not is_disabled:
        backends = [
            plugins.backends[sink.backend] for sink in resolved.settings.sinks if sink.backend in plugins.backends
        ]
        resolved = with_key_variables(resolved, backends, environ)
    if resume is None:
        resume = "allow" if is_restart() else "never"
    _check_identity(run_id, resume)
    tracking = resolved.settings.tracking
    rank = None if is_disabled else find_rank(tracking.rank)
    lanes: tuple[LaneSpec, ...] = ()
    if not is_disabled and not (rank and tracking.ranks == "zero"):
        if rank is not None and tracking.ranks == "all":
            run_id = run_id or shared_run_id()
        lanes = tuple(_lanes(resolved, plugins, environ))
    return Plan(resolved=resolved, run_id=run_id, resume=resume, rank=rank, lanes=lanes)


def _check_identity(run_id: str | None, resume: str) -> None:
    if not isinstance(resume, str) or resume not in get_args(Resume):
        raise ConfigError(f"resume must be 'never', 'allow', 'must' or 'auto', got {resume!r}")
    if run_id is not None and not (isinstance(run_id, str) and RUN_ID.fullmatch(run_id)):
        raise ConfigError(f"run_id {run_id!r} must be 1 to 64 letters, digits, '_', '-' or '.', starting with one")
    if resume == "must" and run_id is None:
        raise ConfigError("resume='must' needs the run_id to resume")


def call_layer(
    name: str | None,
    project: str | None,
    sinks: SinkChoice | Sequence[SinkChoice] | None,
    tags: Mapping[str, Any] | Sequence[str] | None,
    description: str | None,
    delivery: str | None,
    root: str | os.PathLike[str] | None,
) -> dict[str, dict[str, Any]]:
    """Return the arguments of `start_run` as a layer of configuration. Raises `ConfigError` for bad `sinks`."""
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


def _lanes(resolved: Resolved, plugins: Plugins, environ: Mapping[str, str]) -> Iterable[LaneSpec]:
    single: dict[str, str] = {}
    for configured in resolved.settings.sinks:
        sink, origins = sink_with_variables(configured, plugins.backends, resolved.origins, environ)
        dotted = f"tracking.sinks.{sink.name}"
        known = {**resolved.places, **origins}
        places = {key.removeprefix(dotted).lstrip("."): at for key, at in known.items() if key.startswith(dotted)}
        try:
            backend = plugins.sink_backend(sink.backend)
        except ConfigError as error:
            place = places.get("", "call")
            raise ConfigError(str(error) if place in ("call", "config") else f"{place}: {error}") from None
        if backend.once_per_run and single.setdefault(backend.name, sink.name) != sink.name:
            raise ConfigError(
                f"sinks {single[backend.name]!r} and {sink.name!r} would write the same files: "
                f"{backend.name!r} can be in a run only once"
            )
        lane = make_lane(sink.name, backend, sink.options, places)
        if not convert(lane.options, backend.options).is_disabled():
            yield lane


def new_start(settings: Settings, run_id: str | None) -> RunStart:
    """Return the first record of a new run: its identity, with secrets redacted."""
    experiment, patterns = settings.experiment, settings.safeguards.redact_patterns
    return RunStart(
        seq=0,
        time=time.time_ns() // 1_000_000,
        run_id=run_id or os.urandom(6).hex(),
        name=redact_text(plain_text(experiment.name or ""), patterns) or new_run_name(),
        project=redact_text(plain_text(experiment.project or ""), patterns),
        description=redact_text(plain_text(experiment.description), patterns),
        tags=redact(experiment.tags | _relations(experiment), "", settings.safeguards.redact, patterns),
    )


def _relations(experiment: Experiment) -> dict[str, str]:
    related = {PARENT: experiment.parent, GROUP: experiment.group, JOB_TYPE: experiment.job_type}
    return {tag: plain_text(value) for tag, value in related.items() if value is not None}


def manifest_of(start: RunStart, journal: JournalWriter, lanes: Iterable[LaneSpec], settings: Settings) -> Manifest:
    """Return the content of `run.json`, with secrets redacted: a courier gets them through its pipe."""
    sinks = tuple(
        msgspec.structs.replace(lane.entry, options=redact(lane.options, "", settings.safeguards.redact))
        for lane in lanes
    )
    owner = Owner.current(journal.writer)
    return Manifest(run=start, owner=owner, sinks=sinks, log_frequency=settings.logging.log_frequency)


def terms_of(settings: Settings) -> Terms:
    """Return the settings that couriers get beside the sinks."""
    linger = settings.tracking.linger
    return Terms(
        sample_every=settings.logging.system_metrics_interval if settings.logging.log_system_metrics else None,
        linger=None if linger == "forever" else linger,
        nice=settings.tracking.courier_nice,
        take_up=settings.tracking.take_up,
        alerts=alert_terms(settings),
        crowd=settings.tracking.crowd or find_crowd(settings.tracking.rank),
    )
