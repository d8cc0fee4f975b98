"""The end of a run: what is waited for, the last record, and who may write it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from numbers import Real
from types import TracebackType
from typing import Literal, Self, get_args

from unitrack import lifecycle
from unitrack.announcing import announce
from unitrack.delivery.elsewhere import DeliveredElsewhere
from unitrack.delivery.report import DeliveryReport
from unitrack.delivery.waiting import RunWait, raise_for_trouble, wait_for_runs, warn_of_trouble
from unitrack.errors import DeliveryWarning, InvalidTypeError, InvalidValueError, JournalError, RunFinishedError
from unitrack.journal.stand_ins import FinishedJournal, LaterJournal
from unitrack.launcher import find_world_size
from unitrack.limits import POLL_MIN_S, READ_GRACE_S
from unitrack.records import EndStatus, RunEnd
from unitrack.run_state import RunState
from unitrack.system.life import ends_container
from unitrack.warning import warn_caller, warn_from_thread


def check_status(status: str) -> None:
    """Raise `InvalidValueError` for what no run can end as: in the journal it would be a damaged line."""
    if not isinstance(status, str) or status not in get_args(EndStatus):
        raise InvalidValueError(f"a run ends as 'finished', 'failed', 'killed' or 'pruned', got {status!r}")


class Ending(RunState):
    """The part of a run that waits for its delivery and ends it: in its process, in a forked child, at a signal."""

    def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Wait until every sink has taken what was logged so far, at most `timeout` seconds (default: the
        `tracking.finish_timeout` of the configuration), and return the account.

        A sink that is parked or backing off is not waited for beyond the timeout. Raises `DeliveryError` with
        `on_sink_error: raise`.
        """
        if self._report is not None:
            return self._report
        deadline = self._deadline(timeout)
        if self._device_reader is not None:
            self._device_reader.wait(with_grace(deadline))
        [report] = wait_for_runs([self._waiting("accepted", patient=timeout is not None)], deadline)
        self._raise_late_failure()
        if self._settings.tracking.on_sink_error == "raise":
            raise_for_trouble(report)
        return report

    def finish(self, status: EndStatus = "finished", timeout: float | None = None) -> DeliveryReport:
        """End the run, wait for delivery at most `timeout` seconds, and return the account.

        What is pending then is not lost: couriers go on, and `unitrack sync` takes up what they leave. A second call
        returns the first one's account. Raises `DeliveryError` with `on_sink_error: raise` if a sink is in trouble, and
        `InvalidValueError` for another status; the run is open then as before.
        """
        check_status(status)
        if self._report is not None:
            return self._report
        if os.getpid() != self._pid:  # a forked child has a journal of its own in the same run, and ends only that
            self._end_part("finished", with_grace(self._deadline(timeout)))
            self._raise_late_failure()
            return DeliveryReport({})
        patient = timeout is not None
        deadline = self._deadline(timeout)
        if self._waits_for_ranks(status):
            self._wait_for_ranks(deadline)
            deadline = deadline if patient else self._deadline(None)
        self._end(status, with_grace(deadline))
        try:
            [report] = wait_for_runs([self._waiting("complete", patient=patient)], deadline)
            if not patient:
                report = lifecycle.wait_in_containers([self]).get(self.id, report)
        finally:
            self._let_go()
        return self._conclude(report)

    def _end_at_exit(self, status: EndStatus, deadline: float) -> RunWait | None:
        """The first half of `finish`, for many runs: end the journal, and return what to wait for.

        None if this process does not own the run, and so does not wait. `_conclude` is the second half.
        """
        if self._report is not None:
            return None
        if os.getpid() != self._pid:
            self._end_part("finished", deadline)
            self._raise_late_failure()
            return None
        if self._waits_for_ranks(status):
            self._wait_for_ranks(deadline)
        self._end(status, deadline)
        return self._waiting("complete", patient=True)

    def _ends_at_once(self, status: EndStatus) -> bool:
        """Whether ending the journal waits neither for a device nor for other ranks."""
        return not (self._device_reader is not None and self._device_reader.unread) and not self._waits_for_ranks(
            status
        )

    def _end(self, status: EndStatus, deadline: float) -> None:
        """Write that the run has ended."""
        self._end_journal(status, deadline)
        self._folder.mark_ended()

    def _let_go(self) -> None:
        """Nobody waits for the run any more."""
        lifecycle.forget(self)
        self._delivery.close()

    def _conclude(self, report: DeliveryReport) -> DeliveryReport:
        """Keep the account, and warn or raise if there is reason to."""
        if self._report is not None:  # another thread, or a signal handler, has finished it as well
            return self._report
        self._report = report
        announce(self)
        warn_of_trouble(self._report, self.path, self._who_tries_on())
        self._warn_of_unread()
        self._raise_late_failure()
        if self._settings.tracking.on_sink_error == "raise":
            raise_for_trouble(self._report, at_end=True)
        return self._report

    def _who_tries_on(self) -> str:
        """A sentence on couriers that go on after training has exited; nothing if none do."""
        linger = self._settings.tracking.linger
        if self._settings.tracking.delivery != "process" or linger == 0:
            return ""
        if linger == "forever":
            return "Couriers go on trying. "
        long = f"{linger / 60:g} minutes" if linger >= 120 else f"{linger:g} seconds"
        return f"Couriers go on trying for {long} after training has exited. "

    def _waits_for_ranks(self, status: EndStatus) -> bool:
        return self._settings.tracking.ranks == "all" and status == "finished"

    def _wait_for_ranks(self, deadline: float) -> None:
        """Let the other ranks end their parts first."""
        while self._folder.other_ranks_log(find_world_size()) and time.monotonic() < deadline:
            time.sleep(POLL_MIN_S)

    def _end_journal(self, status: EndStatus, deadline: float) -> None:
        """Append the last record. Scalars on a device are waited for first, at most until `deadline`."""
        reader = self._device_reader
        while True:
            if reader is not None:
                try:
                    reader.wait(deadline)
                except KeyboardInterrupt:  # it ends the waiting, as it does for sinks
                    deadline = 0.0
            with contextlib.suppress(RunFinishedError), self._journal.lock:  # of those who end it at once one does
                if reader is not None and reader.unread and time.monotonic() < deadline:
                    continue  # another thread logs
                self._append_end(status)
            return

    def _append_end(self, status: EndStatus) -> None:
        with self._journal.lock:
            self._journal.write(RunEnd, status=status)
            if self._device_reader is not None:
                self._device_reader.close()
            self._journal.close()
            self._journal = FinishedJournal(self)  # type: ignore[assignment]  # it answers every use with an error

    def _deadline(self, timeout: float | None) -> float:
        if timeout is None:
            timeout = self._settings.tracking.finish_timeout
        elif isinstance(timeout, bool) or not isinstance(timeout, Real) or timeout != timeout:
            raise InvalidTypeError(f"timeout must be a number of seconds, got {type(timeout).__name__} {timeout!r}")
        return time.monotonic() + min(timeout, threading.TIMEOUT_MAX)

    def _waiting(self, until: Literal["accepted", "complete"], *, patient: bool) -> RunWait:
        names = [sink.name for sink in self._settings.sinks]
        return RunWait(self._folder, names, self._delivery, until, patient=patient)

    def _ends_container(self) -> bool:
        """Whether couriers die with this process."""
        said = self._settings.tracking.ends_container
        return os.getpid() == self._pid and (ends_container() if said is None else said)

    def _tell_what_stays(self, report: DeliveryReport) -> None:
        """Warn that the container ends with records that are not delivered."""
        left = [sink for sink in report.sinks.values() if not sink.ok]
        if left:
            warn_from_thread(
                f"run {self.name!r}: this process ends its container, and {sum(sink.pending for sink in left)} records "
                f"for {', '.join(sink.sink for sink in left)} are not delivered. They lie in {self._folder.spool}: "
                f"on a volume, `unitrack sync {self.path}` delivers them; on the container's disk they are lost",
                DeliveryWarning,
            )

    def _end_at_signal(self, status: EndStatus, deadline: float) -> None:
        """In a signal handler: end the journal, and leave the rest to the couriers. A device has until `deadline`."""
        if self._report is not None:
            return
        is_owner = os.getpid() == self._pid
        with contextlib.suppress(RunFinishedError):  # the signal came into `finish`
            if self._device_reader is not None:
                self._device_reader.settle_at_kill(self._journal, deadline)
            if is_owner:
                self._append_end(status)
        if is_owner:
            self._folder.mark_ended()

    def _continue_in_child(self) -> None:
        """After a fork: the child gets a journal of its own, once it logs, and the parent delivers that too."""
        self._device_reader = None  # its thread is the parent's, and so are the calls that it has
        self._pump = None
        self._delivery = DeliveredElsewhere()
        if not isinstance(self._journal, FinishedJournal):
            self._journal = LaterJournal(self)  # type: ignore[assignment]  # it becomes a real one at its first use

    def _end_part(self, status: EndStatus, deadline: float) -> None:
        """End what this process, which does not own the run, has logged to it, if it has."""
        if isinstance(self._journal, LaterJournal):
            self._journal = FinishedJournal(self)  # type: ignore[assignment]
        else:
            self._end_journal(status, deadline)

    def _warn_of_unread(self) -> None:
        if self._device_reader is not None and self._device_reader.unread:
            unread = self._device_reader.unread
            warn_caller(f"run {self.name!r} has lost {unread} log calls: their device did not answer in time")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.finish()
            return
        try:
            self.finish("killed" if issubclass(kind, KeyboardInterrupt) else "failed")
        except (InvalidTypeError, InvalidValueError, JournalError) as late:  # the error at hand goes first
            if error is not None:
                error.add_note(str(late))


def with_grace(deadline: float) -> float:
    """The time until which a device is waited for: `finish` gives it a moment, whatever its timeout."""
    return max(deadline, time.monotonic() + READ_GRACE_S)
