"""The run: what training code holds. A log call validates, appends one line to the journal, and returns."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from unitrack import lifecycle
from unitrack.artifacts import Stage
from unitrack.config import Settings
from unitrack.delivery.elsewhere import DeliveredElsewhere
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import DeliveryReport
from unitrack.delivery.waiting import raise_for_trouble, wait_for_sinks, warn_of_trouble
from unitrack.device_scalars import DeviceScalar, UnreadCall
from unitrack.errors import InvalidTypeError, InvalidValueError, JournalError, RunFinishedError
from unitrack.file_logging import FileLogging
from unitrack.hookspecs import Link
from unitrack.journal import JournalWriter
from unitrack.journal_stand_ins import FinishedJournal, LaterJournal
from unitrack.limits import MAX_STEP, POLL_MIN_S, READ_AT_KILL_S, READ_GRACE_S
from unitrack.params import merged, what_changes
from unitrack.records import Metrics, Params, Record, RunEnd, RunStart, Tags
from unitrack.runfolder import RunFolder
from unitrack.validation import ValidationChain, check_step
from unitrack.warning import warn_caller

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery
    from unitrack.device_reader import DeviceReader

_EXACT_INT = 2**53
"""Up to here every int is a float64."""


def _is_exact_int(value: object) -> bool:
    return type(value) is int and -_EXACT_INT <= value <= _EXACT_INT


EndStatus = Literal["finished", "failed", "killed"]


class Run(FileLogging):
    """One run, delivered to all its sinks. Made by `unitrack.start_run`; threads may share it.

    Use it as a context manager, or call `finish()`. An exception that leaves the `with` block ends the run as
    "failed", Ctrl-C and SIGTERM as "killed". `str(run)` is its id.
    """

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
        self._next_step = 0
        self._report: DeliveryReport | None = None
        self._points = validation.points
        self._device_reader: DeviceReader | None = None
        self._has_fast_path = not validation.has_metric_checks
        self._max_points = validation.limits.max_points_per_metric
        self._max_metrics = validation.limits.max_metrics_per_call
        self._pump = delivery.pump if settings.tracking.delivery == "inline" else None

    # -- identity ------------------------------------------------------------------------------------------------------

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

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.id} in {self.path}>"

    def links(self) -> dict[str, Link]:
        """Where the run lies in each backend that has opened it so far: id, location, URL, the command to open it."""
        found: dict[str, Link] = {}
        for sink in self._settings.sinks:
            link = Ledger.load(self._folder.ledger_file(sink.name)).link
            if link is not None:
                found[sink.name] = link
        return found

    # -- metrics: the hot path -----------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one number per name at a step.

        `metrics`: ints, floats, NumPy scalars, 0-d arrays and tensors, taken as float64. `step`: 0 ... 2**63 - 1, in
        any order; without it, one more than the highest so far. Raises `InvalidTypeError` (a `TypeError`) for what is
        no number, `InvalidValueError` (a `ValueError`) for NaN, infinity, steps and names that can't be accepted, and
        `JournalError` (an `OSError`) if the disk is full. What was logged before is never lost.

        A scalar on a device (a GPU, JAX) is read by a thread, never here: until then the record is not in the journal,
        and what is wrong with it raises at the next call, or at `flush()` and `finish()`.
        """
        with self._journal.lock:
            journal = self._journal  # only now: another thread may have finished the run while this one waited
            if type(step) is not int or not 0 <= step <= MAX_STEP:
                step = check_step(self._next_step if step is None else step)
            points, most = self._points, self._max_points
            failure = None
            if self._has_fast_path and type(metrics) is dict and 0 < len(metrics) <= self._max_metrics:
                for name, value in metrics.items():
                    if (
                        (value - value != 0.0 if type(value) is float else not _is_exact_int(value))
                        or name not in points
                        or points[name] >= most
                    ):
                        failure = self._log_checked(journal, metrics, step)
                        break
                else:
                    seq = journal.next_seq
                    journal.next_seq = seq + 1
                    journal.append(Metrics(seq=seq, time=time_ns() // 1_000_000, step=step, metrics=metrics))
                    for name in metrics:
                        points[name] += 1
                    if step >= self._next_step:
                        self._next_step = step + 1
            else:
                failure = self._log_checked(journal, metrics, step)
        if self._device_reader is not None:
            failure = failure or self._catch_up(self._device_reader)
        if self._pump is not None:
            self._pump()
        if failure is not None:
            raise failure

    def _log_checked(self, journal: JournalWriter, metrics: Mapping[str, Any], step: int) -> Exception | None:
        """What is not obviously right goes through the whole chain; returns the error to raise afterwards."""
        accepted, failure = self._validation.metrics(metrics, step)
        if accepted:
            call = UnreadCall(journal, time_ns() // 1_000_000, step, accepted)
            if any(type(value) is DeviceScalar for value in accepted.values()):
                self._read_later(call)
            else:
                self._append_checked(call, accepted)  # type: ignore[arg-type]  # all floats
        if step >= self._next_step and (accepted or (metrics and failure is None)):  # a dropped NaN has a step too
            self._next_step = step + 1
        return failure

    def _append_checked(self, call: UnreadCall, values: Mapping[str, float]) -> None:
        seq = call.journal.next_seq
        call.journal.next_seq = seq + 1
        record = Metrics(seq=seq, time=call.time, step=call.step, metrics={})
        call.journal.append(record.with_values(values))
        for name in values:
            self._points[name] = self._points.get(name, 0) + 1

    def log_metric(self, name: str, value: Any, step: int | None = None) -> None:
        """Log one metric; see `log_metrics`."""
        self.log_metrics({name: value}, step)

    # -- metrics on a device -------------------------------------------------------------------------------------------

    def _read_later(self, call: UnreadCall) -> None:
        if self._device_reader is None:
            from unitrack.device_reader import DeviceReader

            try:
                self._device_reader = DeviceReader(self._append_read)
            except RuntimeError:  # no thread can be started: the interpreter is shutting down, or there are too many
                call.read()
                self._append_read(call)
                return
        self._device_reader.put(call)

    def _append_read(self, call: UnreadCall) -> None:
        """In the reader's thread: what is left of a log call once its values are there."""
        accepted, failure = self._validation.read_metrics(call.metrics, call.step)
        if accepted:
            self._append_checked(call, accepted)
        if failure is not None:
            raise failure

    def _catch_up(self, reader: DeviceReader) -> Exception | None:
        """Not too far behind the device, with inline delivery not at all; returns what an earlier call failed with."""
        if self._pump is not None:
            reader.wait()
        else:
            reader.make_room()
        return reader.take_failure()

    def _raise_late_failure(self) -> None:
        failure = self._device_reader and self._device_reader.take_failure()
        if failure:
            raise failure

    def _warn_of_unread(self) -> None:
        if self._device_reader is not None and self._device_reader.unread:
            unread = self._device_reader.unread
            warn_caller(f"run {self.name!r} has lost {unread} log calls: their device did not answer in time")

    # -- params and tags -----------------------------------------------------------------------------------------------

    def log_params(self, params: Any) -> None:
        """Log hyperparameters: a mapping (nested as you like), a dataclass, a pydantic model, an argparse namespace.

        The same value again is a no-op. Another value replaces the one before, where a backend can do that; the local
        files keep both. Values under keys such as `password` or `api_key`, and what looks like a credential, are
        redacted. Raises `InvalidTypeError` for what holds no named values, `InvalidValueError` for names and sizes.
        """
        plain = self._validation.params(params)
        with self._journal.lock:
            changed = what_changes(self._params, plain)
            if changed:
                self._journal.append(Params(**self._stamp(), params=changed))
                self._params = merged(self._params, changed)
        if changed and self._pump is not None:
            self._pump()
        self._raise_late_failure()

    def log_param(self, name: str, value: Any) -> None:
        """Log one hyperparameter; see `log_params`."""
        self.log_params({name: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; values become strings, and a later value replaces an earlier one."""
        checked = self._validation.tags(tags)
        if checked:
            self._log(Tags, tags=checked)
        self._raise_late_failure()

    def log_environment(self) -> None:
        """Log what it takes to run this again as params: Python, platform, packages, git commit."""
        from unitrack.reproduce.environment import capture_environment

        self.log_params(capture_environment())

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of training should hold to go on with this run: `run_id`, and `step`, the next automatic
        one.
        """
        return {"run_id": self.id, "step": self._next_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as a checkpoint says, though the log may be ahead of it: calls without a step continue at its `step`,
        and each metric that is logged again behind its last step goes back to there. Its points from that step on are
        superseded: the local files keep them, and no backend shows two curves.

        Raises `InvalidValueError` for the state of another run: start this one with `run_id=state["run_id"]` and
        `resume="must"`.
        """
        if state.get("run_id") != self.id:
            raise InvalidValueError(
                f"the state is of run {state.get('run_id')!r}, this is {self.id!r}; "
                "pass run_id=state['run_id'] and resume='must' to start_run"
            )
        self._check_open()
        step = check_step(state.get("step"))
        with self._journal.lock:
            if step < self._next_step:
                self._journal.begin_segment()  # what is read at a time never mixes sessions
                self._journal.append(msgspec.structs.replace(self._start, **self._stamp()))
            self._next_step = step

    # -- appending -----------------------------------------------------------------------------------------------------

    def _stamp(self) -> dict[str, int]:
        with self._journal.lock:
            seq = self._journal.next_seq
            self._journal.next_seq = seq + 1
        return {"seq": seq, "time": time_ns() // 1_000_000}

    def _log(self, kind: type[Record], **fields: Any) -> None:
        with self._journal.lock:  # for both, so that records lie in the order of their numbers
            self._journal.append(kind(**self._stamp(), **fields))
        if self._pump is not None:
            self._pump()

    def _check_open(self) -> None:
        if self._report is not None:
            raise RunFinishedError(
                f"run {self.name!r} has finished; start another, or resume it with run_id={self.id!r}"
            )

    # -- the end -------------------------------------------------------------------------------------------------------

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
            self._device_reader.wait(max(deadline, time.monotonic() + READ_GRACE_S))
        report = self._wait(deadline, "accepted", patient=timeout is not None)
        self._raise_late_failure()
        if self._settings.tracking.on_sink_error == "raise":
            raise_for_trouble(report)
        return report

    def finish(self, status: EndStatus = "finished", timeout: float | None = None) -> DeliveryReport:
        """End the run, wait for delivery at most `timeout` seconds, and return the account.

        What is pending then is not lost: couriers go on, and `unitrack sync` takes up what they leave. A second call
        returns the first one's account. Raises `DeliveryError` with `on_sink_error: raise` if a sink is in trouble.
        """
        if self._report is not None:
            return self._report
        if os.getpid() != self._pid:  # a forked child has a journal of its own in the same run, and ends only that
            self._end_part("finished", self._deadline(timeout))
            self._raise_late_failure()
            return DeliveryReport({})
        patient = timeout is not None
        if self._settings.tracking.ranks == "all" and status == "finished":
            timeout = self._wait_for_ranks(timeout)
        deadline = self._deadline(timeout)
        self._end_journal(status, deadline)
        self._folder.mark_ended()
        try:
            report = self._wait(deadline, "complete", patient=patient)
        finally:
            lifecycle.forget(self)
            self._delivery.close()
        if self._report is not None:  # another thread, or a signal handler, has finished it as well
            return self._report
        self._report = report
        warn_of_trouble(self._report, self.path)
        self._warn_of_unread()
        self._raise_late_failure()
        if self._settings.tracking.on_sink_error == "raise":
            raise_for_trouble(self._report, at_end=True)
        return self._report

    def _wait_for_ranks(self, timeout: float | None) -> float | None:
        """Let the other ranks end their parts first; returns what is left of `timeout`."""
        from unitrack.ranks import find_world_size

        seconds = self._settings.tracking.finish_timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while self._folder.other_ranks_log(find_world_size()) and time.monotonic() < deadline:
            time.sleep(POLL_MIN_S)
        return None if timeout is None else max(0.0, deadline - time.monotonic())

    def _end_journal(self, status: EndStatus, deadline: float) -> None:
        """Append the last record. Scalars on a device are waited for first, at most until `deadline`."""
        reader = self._device_reader
        deadline = max(deadline, time.monotonic() + READ_GRACE_S)
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
            self._journal.append(RunEnd(**self._stamp(), status=status))
            if self._device_reader is not None:
                self._device_reader.close()
            self._journal.close()
            self._journal = FinishedJournal(self)  # type: ignore[assignment]  # it answers every use with an error

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self._settings.tracking.finish_timeout if timeout is None else timeout)

    def _wait(self, deadline: float, until: Literal["accepted", "complete"], *, patient: bool) -> DeliveryReport:
        seconds = max(0.0, deadline - time.monotonic())
        names = [sink.name for sink in self._settings.sinks]
        return wait_for_sinks(self._folder, names, self._delivery, seconds, until, patient=patient)

    def _end_as_killed(self) -> None:
        """In a signal handler: end the journal, and leave the rest to the couriers."""
        if self._report is not None:
            return
        is_owner = os.getpid() == self._pid
        with contextlib.suppress(RunFinishedError):  # the signal came into `finish`
            if self._device_reader is not None:
                self._device_reader.settle_at_kill(self._journal, time.monotonic() + READ_AT_KILL_S)
            if is_owner:
                self._append_end("killed")
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, for a worker that is spawned: it logs to this run, into a journal of its own, and never ends it."""
        from unitrack.ranks import for_others, rejoin

        return rejoin, (self._start, str(self._folder.path), for_others(self._settings), self._rank)

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
