"""The end of a run: waiting for delivery, the last record, and which process writes it."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Literal, get_args

from unitrack.config import Settings
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import DeliveryReport
from unitrack.delivery.waiting import RunWait, raise_for_trouble, wait_for_runs, warn_of_trouble
from unitrack.errors import (
    DeliveryWarning,
    InvalidTypeError,
    InvalidValueError,
    RunFinishedError,
    warn_caller,
    warn_from_thread,
)
from unitrack.journal import sync_journals
from unitrack.limits import POLL_MIN_S, READ_GRACE_S
from unitrack.records import EndStatus, RunEnd, RunStatus
from unitrack.run.alert_log import AlertNews
from unitrack.run.late_work import LateWork
from unitrack.run.launcher import find_world_size
from unitrack.run.lifecycle import live
from unitrack.run.links import Announcements, links_of
from unitrack.run.live_run import Trouble
from unitrack.run.metrics import MetricLog
from unitrack.run.recorder import JournalState, Recorder
from unitrack.run.refusal_file import RefusalFile
from unitrack.runfolder.rank_files import RankFiles
from unitrack.system.disk import remedy
from unitrack.system.life import ends_container
from unitrack.validation import ValidationChain

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery


def check_status(status: str) -> None:
    """Raise `InvalidValueError` for an unknown status, which would be a damaged line in the journal."""
    if not isinstance(status, str) or status not in get_args(EndStatus):
        raise InvalidValueError(f"a run ends as 'finished', 'failed', 'killed' or 'pruned', got {status!r}")


class Ending:
    """Waits for the delivery of a run, and ends it: in its process, in a forked child, at a signal.

    It implements `LiveRun`, the view of a run that `lifecycle` has.
    """

    def __init__(
        self,
        recorder: Recorder,
        metrics: MetricLog,
        late: Sequence[LateWork],
        settings: Settings,
        delivery: Delivery,
        validation: ValidationChain,
    ) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._late = late
        self._settings = settings
        self._tracking = settings.tracking
        self._folder = recorder.folder
        self._delivery = delivery
        self._announcements = Announcements(recorder.start.name, is_on=settings.tracking.announce)
        self._alerts = AlertNews(self._folder, recorder.start.name)
        self._refusals = RefusalFile(self._folder, validation)
        self.status: RunStatus = "running"
        """How this process has ended the run, or its part of it."""
        self.report: DeliveryReport | None = None
        """The report, once this process has finished the run."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self._recorder.start.run_id

    @property
    def name(self) -> str:
        """The run's name."""
        return self._recorder.start.name

    # -- in the run's process ---------------------------------------------------------------------------------------

    def flush(self, timeout: float | None) -> DeliveryReport:
        """See `Run.flush`."""
        if self.report is not None:
            return self.report
        deadline = self._deadline(timeout)
        self._metrics.wait_for_device(with_grace(deadline))
        self._wait_for_late_work(deadline)
        [report] = wait_for_runs([self._waiting("accepted", patient=timeout is not None)], deadline)
        self._metrics.raise_late_failure()
        if self._tracking.on_sink_error == "raise":
            raise_for_trouble(report)
        return report

    def finish(self, status: EndStatus, timeout: float | None, *, wait: bool = True) -> DeliveryReport:
        """See `Run.finish`."""
        check_status(status)
        if self.report is not None:
            return self.report
        if not self._recorder.is_owner:  # a forked child ends only its own journal
            self._end_part("finished", with_grace(self._deadline(timeout)))
            self._metrics.raise_late_failure()
            return DeliveryReport({})
        patient = timeout is not None
        deadline = self._deadline(timeout)
        if self._waits_for_ranks(status):
            self._wait_for_ranks(deadline)
            deadline = deadline if patient else self._deadline(None)
        self._end(status, with_grace(deadline))
        if not wait and self._tracking.delivery != "thread":  # threads end with the process
            return self._leave_to_couriers()
        try:
            [report] = wait_for_runs([self._waiting("complete", patient=patient)], deadline)
            if not patient:
                report = live.wait_in_containers([self]).get(self.id, report)
        finally:
            self.let_go()
        return self.conclude(report)

    def _leave_to_couriers(self) -> DeliveryReport:
        """Return the report as of now. Delivery goes on, and its troubles are shown by `unitrack status`."""
        waiting = self._waiting("accepted", patient=False)
        waiting.look()  # inline, it delivers
        self.let_go()
        self.report = waiting.report()
        return self.report

    def _end(self, status: EndStatus, deadline: float) -> None:
        """Write the end of the run into the journal and the run folder."""
        self._end_journal(status, deadline)
        self._refusals.update()
        self._folder.mark_ended()

    def let_go(self) -> None:
        """Stop watching the run and close its delivery."""
        live.forget(self)
        self._delivery.close()

    def conclude(self, report: DeliveryReport) -> DeliveryReport:
        """Store the report, and warn or raise if a sink is in trouble."""
        if self.report is not None:  # another thread or a signal handler has finished the run
            return self.report
        self.report = report
        for sink, link in links_of(self._folder, self._settings.sinks).items():
            self._announcements.announce(sink, link)
        for alert in self._alerts.look():
            warn_caller(alert.text, alert.category)
        warn_of_trouble(report, self._folder.path, self._linger_notice())
        self._warn_of_unread()
        self._metrics.raise_late_failure()
        if self._tracking.on_sink_error == "raise":
            raise_for_trouble(report, at_end=True)
        return report

    def _linger_notice(self) -> str:
        """Return a sentence about couriers that go on after training has exited; "" if there are none."""
        linger = self._tracking.linger
        if self._tracking.delivery != "process" or linger == 0:
            return ""
        if linger == "forever":
            return "Couriers go on trying. "
        long = f"{linger / 60:g} minutes" if linger >= 120 else f"{linger:g} seconds"
        return f"Couriers go on trying for {long} after training has exited. "

    def _waits_for_ranks(self, status: EndStatus) -> bool:
        return self._tracking.ranks == "all" and status == "finished"

    def _wait_for_ranks(self, deadline: float) -> None:
        """Wait until the other ranks have ended their parts, at most until `deadline`."""
        while RankFiles(self._folder).may_others_log(find_world_size()) and time.monotonic() < deadline:
            time.sleep(POLL_MIN_S)

    def _end_journal(self, status: EndStatus, deadline: float) -> None:
        """Append the last record, after waiting for scalars on a device, at most until `deadline`."""
        while True:
            try:
                self._metrics.wait_for_device(deadline)
                self._wait_for_late_work(deadline)
            except KeyboardInterrupt:  # Ctrl-C ends the wait, as it does for sinks
                deadline = 0.0
            with contextlib.suppress(RunFinishedError), self._recorder.lock:  # another thread may have ended it
                if self._metrics.unread and time.monotonic() < deadline:
                    continue  # another thread logs
                self._append_end(status)
            return

    def _wait_for_late_work(self, deadline: float) -> None:
        for work in self._late:
            work.wait(deadline)

    def _append_end(self, status: EndStatus) -> None:
        with self._recorder.lock:
            self._recorder.open().write(RunEnd, status=status)
            self.status = status
            self._metrics.close_reader()
            self._recorder.end()

    def _deadline(self, timeout: float | None) -> float:
        if timeout is None:
            timeout = self._tracking.finish_timeout
        elif isinstance(timeout, bool) or not isinstance(timeout, Real) or timeout != timeout:
            raise InvalidTypeError(f"timeout must be a number of seconds, got {type(timeout).__name__} {timeout!r}")
        return time.monotonic() + min(timeout, threading.TIMEOUT_MAX)

    def _waiting(self, until: Literal["accepted", "complete"], *, patient: bool) -> RunWait:
        names = [sink.name for sink in self._settings.sinks]
        return RunWait(self._folder, names, self._delivery, until, patient=patient)

    def _warn_of_unread(self) -> None:
        for work in self._late:
            work.warn_of_unfinished()
        if unread := self._metrics.unread:
            warn_caller(f"run {self.name!r} has lost {unread} log calls: their device did not answer in time")

    # -- at the exit of the interpreter -----------------------------------------------------------------------------

    def ends_at_once(self, status: EndStatus) -> bool:
        """Return whether ending the journal waits neither for a device nor for other ranks."""
        return not self._metrics.unread and not self._waits_for_ranks(status)

    def end_at_exit(self, status: EndStatus, deadline: float) -> RunWait | None:
        """End the journal and return the wait for delivery; None if this process does not own the run.

        It is the first half of `finish`, so that many runs can be waited for together; `conclude` is the second half.
        """
        if self.report is not None:
            return None
        if not self._recorder.is_owner:
            self._end_part("finished", deadline)
            self._metrics.raise_late_failure()
            return None
        if self._waits_for_ranks(status):
            self._wait_for_ranks(deadline)
        self._end(status, deadline)
        return self.wait_for_completion()

    def wait_for_completion(self) -> RunWait:
        """Return the wait until each sink has confirmed the end of the run."""
        return self._waiting("complete", patient=True)

    # -- at a signal, and where couriers die with this process --------------------------------------------------------

    def end_as_killed(self, status: EndStatus, deadline: float) -> None:
        """End the journal in a signal handler; couriers do the rest. A device is waited for until `deadline`."""
        if self.report is not None:
            return
        is_owner = self._recorder.is_owner
        with contextlib.suppress(RunFinishedError):  # the signal arrived during `finish`
            self._metrics.settle_at_kill(deadline)
            if is_owner:
                self._append_end(status)
        if is_owner:
            self._refusals.update()
            self._folder.mark_ended()

    def ends_container(self) -> bool:
        """Return whether couriers die with this process."""
        configured = self._tracking.ends_container
        return self._recorder.is_owner and (ends_container() if configured is None else configured)

    @property
    def container_timeout(self) -> float:
        """Seconds to wait for delivery if couriers die with this process."""
        return self._tracking.container_timeout

    def warn_of_loss(self, report: DeliveryReport) -> None:
        """Warn that the container ends with records that are not delivered."""
        left = [sink for sink in report.sinks.values() if not sink.ok]
        if left:
            warn_from_thread(
                f"run {self.name!r}: this process ends its container, and {sum(sink.pending for sink in left)} records "
                f"for {', '.join(sink.sink for sink in left)} are not delivered. They lie in {self._folder.spool}: "
                f"on a volume, `unitrack sync {self._folder.path}` delivers them; on the container's disk they are "
                "lost",
                DeliveryWarning,
            )

    # -- in a child ---------------------------------------------------------------------------------------------------

    def continue_in_child(self) -> None:
        """Prepare a forked child: it opens its own journal when it logs, and the parent delivers that as well."""
        from unitrack.delivery.modes import DeliveryByOwner  # noqa: PLC0415  # subprocess costs 4 ms; the parent has imported it

        self._metrics.continue_in_child()
        for work in self._late:
            work.continue_in_child()
        self._recorder.continue_in_child()
        self._delivery = DeliveryByOwner(self._folder)

    def _end_part(self, status: EndStatus, deadline: float) -> None:
        """End the journal of this process, which does not own the run, if it has opened one."""
        if self._recorder.state is JournalState.UNOPENED:
            self._recorder.end()
        else:
            self._end_journal(status, deadline)

    # -- in the housekeeper's thread ----------------------------------------------------------------------------------

    def beat(self) -> None:
        """Renew the sign of life, which processes on other machines check."""
        self._recorder.beat()

    def sync(self) -> Trouble | None:
        """Sync the journal to the disk; return the trouble if that fails."""
        try:
            self._recorder.sync()
            if self._recorder.is_owner:
                sync_journals(self._folder.spool)  # journals of forked children, which have no housekeeper
        except OSError as error:
            if error.errno == errno.EBADF:  # the run has just been finished
                return None
            return Trouble(
                "sync",
                f"the journal of run {self.name!r} can't be synced to the disk ({error.strerror}); training goes on, "
                f"but a loss of power may cost what was logged; {remedy(error.errno)}",
            )
        return None

    def tend(self) -> list[Trouble]:
        """Announce the run's links; return the troubles of its folder and its sinks."""
        if not self._recorder.is_owner:
            return []
        if self._folder.is_gone():
            gone = f"the folder of run {self.name!r} was deleted while it runs, {self._folder.path}: what is logged "
            return [Trouble("gone", f"{gone}from now on is lost; start another run")]
        self._refusals.update()
        troubles = self._alerts.look()
        for sink in self._settings.sinks:
            ledger = Ledger.load(self._folder.ledger_file(sink.name))
            self._announcements.announce(sink.name, ledger.link)
            if ledger.state in ("retrying", "parked"):
                state = f"sink {sink.name!r} of run {self.name!r} is {ledger.state}; training goes on, nothing is lost"
                troubles.append(Trouble(f"sink {sink.name}", f"{state}: {ledger.last_error}"))
        return troubles


def with_grace(deadline: float) -> float:
    """Return the deadline of waiting for a device: at least `READ_GRACE_S` from now, whatever the timeout."""
    return max(deadline, time.monotonic() + READ_GRACE_S)
