"""What all parts of a run share: whose it is, where it lies, and the way of a record into its journal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitrack.artifacts import Stage
from unitrack.config import Settings
from unitrack.errors import RunFinishedError
from unitrack.journal import JournalWriter
from unitrack.records import Record, RunStart
from unitrack.runfolder import RunFolder
from unitrack.validation import ValidationChain

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery
    from unitrack.delivery.report import DeliveryReport
    from unitrack.device_reader import DeviceReader


class RunState:
    """A run as its parts see it. Each part is a subclass in a file of its own, and `Run` is all of them."""

    def __init__(
        self,
        start: RunStart,
        folder: RunFolder,
        settings: Settings,
        journal: JournalWriter,
        delivery: Delivery,
        validation: ValidationChain,
    ) -> None:
        self._start = start
        self._folder = folder
        self._settings = settings
        self._journal = journal
        self._delivery = delivery
        self._validation = validation
        self._stage = Stage(folder)
        self._pid = os.getpid()
        self._rank = 0
        self._params: dict[str, Any] = {}
        self._points = validation.points
        self._has_fast_path = not validation.has_metric_checks
        self._max_points = validation.limits.max_points_per_metric
        self._max_metrics = validation.limits.max_metrics_per_call
        self._next_step = 0
        self._report: DeliveryReport | None = None
        self._announced: set[str] = set()
        self._device_reader: DeviceReader | None = None
        self._pump = delivery.pump if settings.tracking.delivery == "inline" else None

    @property
    def id(self) -> str:
        """The run's id: letters, digits and hyphens, unique."""
        return self._start.run_id

    @property
    def name(self) -> str:
        """What the run is called; several runs may share a name."""
        return self._start.name

    @property
    def project(self) -> str:
        """The project it belongs to."""
        return self._start.project

    @property
    def path(self) -> Path:
        """The run folder, absolute."""
        return self._folder.path

    @property
    def has_ended(self) -> bool:
        """Whether the run has been finished by this process."""
        return self._report is not None

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.id} in {self.path}>"

    def _log(self, kind: type[Record], **fields: Any) -> None:
        self._journal.write(kind, **fields)
        if self._pump is not None:
            self._pump()

    def _check_open(self) -> None:
        if self._report is not None:
            raise RunFinishedError(
                f"run {self.name!r} has finished; start another, or resume it with run_id={self.id!r}"
            )

    def _raise_late_failure(self) -> None:
        failure = self._device_reader and self._device_reader.take_failure()
        if failure:
            raise failure
