"""The parts of a run, built for the process that owns it, for another rank, and for a worker."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from unitrack.config import Settings
from unitrack.journal import JournalWriter
from unitrack.plugins.registry import installed
from unitrack.records import RunStart
from unitrack.run.alert_log import AlertLog
from unitrack.run.artifact_log import ArtifactLog
from unitrack.run.chart_log import ChartLog
from unitrack.run.checkpoint_log import CheckpointLog
from unitrack.run.dataset_log import DatasetLog
from unitrack.run.ending import Ending
from unitrack.run.environment_log import EnvironmentLog
from unitrack.run.files import FileLog
from unitrack.run.late_work import LateWork
from unitrack.run.lifecycle import live
from unitrack.run.metrics import MetricLog
from unitrack.run.model_log import ModelLog
from unitrack.run.params import ParamLog
from unitrack.run.part_ending import PartEnding
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.run.requesting import Requests
from unitrack.runfolder.run_folder import RunFolder
from unitrack.validation import ValidationChain

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery


class Parts(msgspec.Struct, frozen=True):
    """The parts of one run. Each one alone changes the state that its name says."""

    settings: Settings
    recorder: Recorder
    metrics: MetricLog
    params: ParamLog
    files: FileLog
    artifacts: ArtifactLog
    checkpoints: CheckpointLog
    alerts: AlertLog
    environment: EnvironmentLog
    datasets: DatasetLog
    charts: ChartLog
    models: ModelLog
    ending: Ending


def owner_parts(
    start: RunStart,
    folder: RunFolder,
    settings: Settings,
    journal: JournalWriter,
    delivery: Delivery,
    validation: ValidationChain,
    *,
    is_watched: bool,
) -> Parts:
    """Return the parts of a run in the process that owns it. `is_watched`: whether a courier watches for alerts."""
    pump = delivery.pump if settings.tracking.delivery == "inline" else None
    recorder = Recorder(start, folder, journal, pump=pump)
    return _parts(recorder, settings, validation, delivery, Ending, is_watched=is_watched)


def rank_parts(start: RunStart, folder: RunFolder, settings: Settings, rank: int, journal: JournalWriter) -> Parts:
    """Return the parts of a run in a rank that has joined it with `journal`."""
    parts = _parts_beside_owner(start, folder, settings, rank, journal)
    parts.params.set_tags({"host": os.uname().nodename, "pid": os.getpid()})
    live.watch(parts.ending)
    return parts


def worker_parts(start: RunStart, folder: RunFolder, settings: Settings, rank: int) -> Parts:
    """Return the parts of a run in a worker that got it by pickle; its first record opens its journal."""
    parts = _parts_beside_owner(start, folder, settings, rank, None)
    live.watch(parts.ending)
    return parts


def _parts_beside_owner(
    start: RunStart, folder: RunFolder, settings: Settings, rank: int, journal: JournalWriter | None
) -> Parts:
    from unitrack.delivery.modes import DeliveryByOwner  # noqa: PLC0415  # subprocess costs 4 ms

    plugins = installed()
    validation = ValidationChain(settings.safeguards, plugins.validators(), plugins.stores())
    recorder = Recorder(start, folder, journal, rank=rank, is_owner=False)
    ending = functools.partial(PartEnding, is_rank=journal is not None)
    return _parts(recorder, settings, validation, DeliveryByOwner(folder), ending, is_watched=True)


def _parts(
    recorder: Recorder,
    settings: Settings,
    validation: ValidationChain,
    delivery: Delivery,
    make_ending: Callable[[Recorder, MetricLog, Sequence[LateWork], Settings, Delivery, ValidationChain], Ending],
    *,
    is_watched: bool,
) -> Parts:
    """Return the parts around a recorder, which log under the names of its rank."""
    names = RankNames(recorder.rank)
    metrics = MetricLog(recorder, validation, names)
    params = ParamLog(recorder, validation, names)
    files = FileLog(recorder, settings, validation, names)
    artifacts = ArtifactLog(recorder, settings, files)
    requests = Requests(recorder, settings, delivery)
    datasets = DatasetLog(recorder, files, requests)
    models = ModelLog(recorder, files, metrics)
    return Parts(
        settings=settings,
        recorder=recorder,
        metrics=metrics,
        params=params,
        files=files,
        artifacts=artifacts,
        checkpoints=CheckpointLog(recorder, files, artifacts),
        alerts=AlertLog(recorder, validation, delivery, is_watched=is_watched),
        environment=EnvironmentLog(recorder, settings, validation, params, files, requests),
        datasets=datasets,
        charts=ChartLog(recorder, validation, files),
        models=models,
        ending=make_ending(recorder, metrics, (datasets, models), settings, delivery, validation),
    )


def settings_for_others(settings: Settings) -> Settings:
    """Return settings with only the names of sinks: a pickle should not hold their options, which may be secret."""
    tracking = msgspec.structs.replace(
        settings.tracking,
        backend=None,
        tracking_uri=None,
        artifact_location=None,
        sinks=tuple({sink.backend: {"name": sink.name}} for sink in settings.sinks),
    )
    return msgspec.structs.replace(settings, tracking=tracking)
