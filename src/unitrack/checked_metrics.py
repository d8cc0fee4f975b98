"""Metrics that are not obviously right, or lie on a device: the way of a log call beside the hot path."""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any

from unitrack.device_scalars import DeviceScalar, UnreadCall
from unitrack.records import Metrics
from unitrack.run_state import RunState

if TYPE_CHECKING:
    from unitrack.device_reader import DeviceReader
    from unitrack.journal import JournalWriter


class CheckedMetrics(RunState):
    """The part of a run that logs metrics after all checks, those on a device once they are read."""

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
        call.journal.copy(Metrics(seq=0, time=call.time, step=call.step, metrics={}).with_values(values))
        points = self._validation.points
        for name in values:
            points[name] = points.get(name, 0) + 1

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
