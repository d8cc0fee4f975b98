"""The unitrack run that belongs to a run of a script. Nothing that it is asked for raises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from unitrack.capture.report import Report
from unitrack.records import EndStatus
from unitrack.run.run import Run


class CapturedRun:
    """Forwards to a `Run`. An error is counted under the name of the call that it belongs to."""

    def __init__(self, run: Run, sdk: str, report: Report, *, is_owner: bool) -> None:
        self.run = run
        self.sdk = sdk
        self.report = report
        self.points = 0
        self.is_owner = is_owner
        """Whether this process has started the run, and not one that goes on with it by its id."""
        self._before_end: list[Callable[[], None]] = []
        self._at_fork: list[Callable[[], None]] = []

    @property
    def has_ended(self) -> bool:
        """Whether it takes no more."""
        return self.run.has_ended

    def at_fork(self, call: Callable[[], None]) -> None:
        """Call something in a forked child, which has copies of what the parent still holds."""
        self._at_fork.append(call)

    def continue_in_child(self) -> None:
        """Leave what is to be done at the end to the parent, in a forked child."""
        self.is_owner = False
        self._before_end.clear()
        for call in self._at_fork:
            call()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call something once before the run ends."""
        self._before_end.append(call)

    def do(self, call: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Call a method of the run for a call of the SDK, and count it; return whether it went well."""
        if self.run.has_ended:
            return False
        try:
            method(*args, **kwargs)
        except Exception as error:
            self.report.trouble(f"{self.sdk}.{call}", error)
            return False
        self.report.add(f"{self.sdk}.{call}")
        return True

    def metrics(self, call: str, values: Mapping[str, Any], step: int) -> None:
        """Log points at a step."""
        if values and self.do(call, self.run.log_metrics, dict(values), step):
            self.points += len(values)

    def params(self, call: str, params: Mapping[str, Any]) -> None:
        """Log params; those with a value that can't be logged are left out, not all of them."""
        if params and not self.run.has_ended:
            try:
                self.run.log_params(params)
            except Exception:
                for name, value in params.items():
                    self.do(call, self.run.log_params, {name: value})
            else:
                self.report.add(f"{self.sdk}.{call}")

    def flush(self) -> None:
        """Do what is left to do before the end."""
        while self._before_end:
            call = self._before_end.pop(0)
            try:
                call()
            except Exception as error:
                self.report.trouble(f"{self.sdk}: end of the run", error)

    def finish(self, status: EndStatus = "finished") -> None:
        """End the run, or in another process than that of its owner this part of it.

        The script does not wait for delivery: couriers go on, and the process waits for them at its end.
        """
        if self.run.has_ended:
            return
        self.flush()
        self.describe(status)
        try:
            self.run.finish(status, wait=False)
        except Exception as error:
            self.report.trouble(f"{self.sdk}: end of the run", error)

    def describe(self, status: str = "") -> None:
        """Add the line about the run to the report."""
        points = f"{self.points} point{'' if self.points == 1 else 's'}"
        end = f", {status}" if status else ""
        if self.is_owner:
            self.report.runs.append(
                f"captured {self.sdk} run {self.run.name} ({self.run.id}): {points}{end}: unitrack show {self.run.id}"
            )


def is_number(value: Any) -> bool:
    """Return whether a value is one number: no bool, no text, no array of several."""
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return False
    if isinstance(value, int | float):
        return True
    if isinstance(value, str | bytes | complex) or not hasattr(value, "__float__"):
        return False
    shape = getattr(value, "shape", ())
    return math.prod(shape) == 1 if isinstance(shape, tuple) or hasattr(shape, "__iter__") else False


def as_number(value: Any) -> Any:
    """Return a number as it is now, as `log_metrics` takes it: arrays and tensors of one element have no axes.

    A scalar on a device is copied there and not read. The script may change it before the row is complete.
    """
    if hasattr(value, "detach"):
        value = value.detach()
        if getattr(getattr(value, "device", None), "type", "cpu") != "cpu":
            return value.reshape(()).clone()
        return value.item()
    if isinstance(value, int | float) or not hasattr(value, "shape"):
        return value
    if type(value).__module__.partition(".")[0] == "numpy":
        return value.item()
    return value.reshape(()) if len(value.shape) and hasattr(value, "reshape") else value
