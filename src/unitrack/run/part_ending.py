"""The end of one process's part of a run: of a rank, or of a worker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unitrack.config import Settings
from unitrack.delivery.report import DeliveryReport
from unitrack.errors import JournalError
from unitrack.records import EndStatus
from unitrack.run.ending import Ending, check_status, with_grace
from unitrack.run.late_work import LateWork
from unitrack.run.lifecycle import live
from unitrack.run.metrics import MetricLog
from unitrack.run.recorder import Recorder
from unitrack.runfolder.rank_files import RankFiles
from unitrack.validation import ValidationChain

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery


class PartEnding(Ending):
    """Ends the part of a run that a rank or a worker logs. The run itself goes on until its owner ends it."""

    def __init__(
        self,
        recorder: Recorder,
        metrics: MetricLog,
        late: Sequence[LateWork],
        settings: Settings,
        delivery: Delivery,
        validation: ValidationChain,
        *,
        is_rank: bool,
    ) -> None:
        """`is_rank`: whether this process has joined the run as a rank, for whose end rank 0 waits."""
        super().__init__(recorder, metrics, late, settings, delivery, validation)
        self._is_rank = is_rank

    def finish(self, status: EndStatus, timeout: float | None, *, wait: bool = True) -> DeliveryReport:
        """End the part of this process. The report is empty, since this process delivers nothing."""
        check_status(status)
        if self.report is None:
            with contextlib.suppress(JournalError):  # the disk is full; the owner reports it
                self._end_part(status, with_grace(self._deadline(timeout)))
            self.report = DeliveryReport({})
            live.forget(self)
            if self._is_rank:
                with contextlib.suppress(OSError):  # the owner did not wait, and the spool is removed
                    RankFiles(self._folder).ended_file(self._recorder.rank).touch()
            self._warn_of_unread()
            self._metrics.raise_late_failure()
        return self.report

    def end_at_exit(self, status: EndStatus, deadline: float) -> None:
        """Finish; there is no delivery to wait for."""
        self.finish(status, timeout=max(0.0, deadline - time.monotonic()))

    def ends_at_once(self, status: EndStatus) -> bool:
        """Return whether ending the journal does not wait for a device."""
        return not self._metrics.unread

    def continue_in_child(self) -> None:
        """Prepare a forked child, which ends only its own part, not that of the rank."""
        super().continue_in_child()
        self._is_rank = False
