"""Metrics: the hot path of `log_metrics`, its slow path, and the steps and points that both count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any

from unitrack.limits import MAX_STEP
from unitrack.records import Metrics
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.run.unread_call import UnreadCall
from unitrack.validation import ValidationChain, check_step
from unitrack.values.device import DeviceScalar

if TYPE_CHECKING:
    from unitrack.run.device_reader import DeviceReader

_EXACT_INT = 2**53
"""Every int up to this one is exact as a float64."""


Watcher = Callable[[Mapping[str, float], int], Exception | None]
"""Gets the points of each log call and its step, once they are in the journal; returns the error that the call, or for
values on a device a later one, is to raise."""


def _is_exact_int(value: object) -> bool:
    return type(value) is int and -_EXACT_INT <= value <= _EXACT_INT


class MetricLog:
    """Logs metrics. Counts the points of each, and the next automatic step."""

    __slots__ = (  # they save 1 of 26 us between two steps of training, when caches are cold (measured)
        "_has_fast_path",
        "_is_ranked",
        "_max_metrics",
        "_max_points",
        "_names",
        "_points",
        "_reader",
        "_recorder",
        "_validation",
        "_watcher",
        "next_step",
        "summary",
    )

    def __init__(self, recorder: Recorder, validation: ValidationChain, names: RankNames) -> None:
        self._recorder = recorder
        self._validation = validation
        self._names = names
        self._is_ranked = bool(names.prefix)
        self._points = validation.points
        self._has_fast_path = not validation.has_metric_checks
        self._max_points = validation.limits.max_points_per_metric
        self._max_metrics = validation.limits.max_metrics_per_call
        self._reader: DeviceReader | None = None
        self._watcher: Watcher | None = None
        self.next_step = 0
        """The step of the next call without a step."""
        self.summary: dict[str, float] = {}
        """The values that this process has set for the whole run."""

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """See `Run.log_metrics`."""
        if self._is_ranked:
            metrics = self._names.metrics(metrics)
        recorder = self._recorder
        with recorder.lock:
            if type(step) is not int or not 0 <= step <= MAX_STEP:
                step = check_step(self.next_step if step is None else step)
            points, most = self._points, self._max_points
            failure = None
            if self._has_fast_path and type(metrics) is dict and 0 < len(metrics) <= self._max_metrics:
                for name, value in metrics.items():
                    if (
                        (value - value != 0.0 if type(value) is float else not _is_exact_int(value))
                        or name not in points
                        or points[name] >= most
                    ):
                        failure = self._log_checked(metrics, step)
                        break
                else:
                    (recorder.journal or recorder.open()).write_metrics(step, metrics)
                    for name in metrics:
                        points[name] += 1
                    if step >= self.next_step:
                        self.next_step = step + 1
            else:
                failure = self._log_checked(metrics, step)
        if self._reader is not None:
            failure = failure or self._catch_up(self._reader)
        if recorder.pump is not None:
            recorder.pump()
        if failure is not None:
            raise failure

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` after each log call from now on. Every call then takes the slow path."""
        self._watcher = watcher
        self._has_fast_path = False

    def warn_of_non_finite(self) -> None:
        """See `Run.warn_of_non_finite`."""
        self._validation.warn_of_non_finite()

    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Log values for the whole run, as metrics at the highest step so far, and remember them."""
        self.log(values, max(self.next_step - 1, 0))
        self.summary.update({name: float(value) for name, value in values.items()})

    def log_beside(self, values: Mapping[str, Any], step: int) -> None:
        """Log metrics at a step from another thread, and leave it for the next call without a step."""
        if self._is_ranked:
            values = self._names.metrics(values)
        recorder = self._recorder
        with recorder.lock:
            before = self.next_step
            failure = self._log_checked(values, step)
            self.next_step = before
        recorder.deliver_inline()
        if failure is not None:
            raise failure

    def reach(self, step: int) -> None:
        """Make the next automatic step greater than `step`."""
        with self._recorder.lock:
            self.next_step = max(self.next_step, step + 1)

    def restore(self, step: int) -> None:
        """Continue at `step` of a checkpoint. If the log is already beyond it, a new session of training begins."""
        if self._reader is not None:
            self._reader.wait()  # earlier calls belong to the earlier session
        recorder = self._recorder
        with recorder.lock:
            if step < self.next_step:
                recorder.begin_session()
            self.next_step = step

    # -- the slow path ------------------------------------------------------------------------------------------------

    def _log_checked(self, metrics: Mapping[str, Any], step: int) -> Exception | None:
        """Log the metrics that pass all checks; return the error to raise afterwards."""
        journal = self._recorder.open()
        failure: Exception | None
        accepted, failure = self._validation.metrics(metrics, step)
        if accepted:
            call = UnreadCall(journal, time_ns() // 1_000_000, step, accepted)
            if any(type(value) is DeviceScalar for value in accepted.values()):
                self._read_later(call)
            else:
                self._append_checked(call, accepted)  # type: ignore[arg-type]  # all floats
                failure = self._tell_watcher(accepted, step) or failure  # type: ignore[arg-type]
        if step >= self.next_step and (accepted or (metrics and failure is None)):  # a dropped NaN uses its step up
            self.next_step = step + 1
        return failure

    def _append_checked(self, call: UnreadCall, values: Mapping[str, float]) -> None:
        call.journal.copy(Metrics(seq=0, time=call.time, step=call.step, metrics={}).with_values(values))
        points = self._points
        for name in values:
            points[name] = points.get(name, 0) + 1

    def _tell_watcher(self, values: Mapping[str, float], step: int) -> Exception | None:
        return None if self._watcher is None else self._watcher(values, step)

    # -- scalars on a device ------------------------------------------------------------------------------------------

    def _read_later(self, call: UnreadCall) -> None:
        if self._reader is None:
            from unitrack.run.device_reader import DeviceReader  # noqa: PLC0415  # queue costs 1 ms

            try:
                self._reader = DeviceReader(self._append_read)
            except RuntimeError:  # no thread can be started: too many, or the interpreter is shutting down
                call.read()
                self._append_read(call)
                return
        self._reader.put(call)

    def _append_read(self, call: UnreadCall) -> None:
        """Check and append a log call whose values have been read. Called in the reader's thread."""
        failure: Exception | None
        accepted, failure = self._validation.read_metrics(call.metrics, call.step)
        if accepted:
            self._append_checked(call, accepted)
            failure = self._tell_watcher(accepted, call.step) or failure
        if failure is not None:
            raise failure

    def _catch_up(self, reader: DeviceReader) -> Exception | None:
        """Wait while the device is too far behind (inline: for all values); return the error of an earlier call."""
        if self._recorder.pump is not None:
            reader.wait()
        else:
            reader.make_room()
        return reader.take_failure()

    @property
    def unread(self) -> int:
        """The number of log calls that wait for their device."""
        return 0 if self._reader is None else self._reader.unread

    def wait_for_device(self, deadline: float) -> None:
        """Wait until the values logged so far are read, at most until `deadline` of the monotonic clock."""
        if self._reader is not None:
            self._reader.wait(deadline)

    def settle_at_kill(self, deadline: float) -> None:
        """Wait as `wait_for_device` does, in a signal handler: the interrupted thread may hold the lock."""
        if self._reader is not None:
            self._reader.settle_at_kill(self._recorder.lock, deadline)

    def raise_late_failure(self) -> None:
        """Raise the error of an earlier call with values on a device, if there is one."""
        failure = self._reader and self._reader.take_failure()
        if failure:
            raise failure

    def close_reader(self) -> None:
        """End the reader's thread; unread calls are dropped. Call it with the recorder's lock held."""
        if self._reader is not None:
            self._reader.close()

    def continue_in_child(self) -> None:
        """Forget the reader in a forked child: its thread and its calls belong to the parent."""
        self._reader = None
