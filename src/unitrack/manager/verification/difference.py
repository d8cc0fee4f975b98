"""One way in which two runs differ."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Subject = Literal["run", "param", "tag", "point", "artifact"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between a run and the reference, or all differences of one kind among the points of a metric."""

    subject: Subject
    name: str
    """The param, tag, metric or file; of a run, the field: "status", "description"."""
    problem: str
    """In words: "missing", "value differs", "held as a 32-bit float"."""
    step: int | None = None
    """Of the first point that differs."""
    expected: Any = None
    """In the reference; None if it is not there. A value of a point is a float, a time is in milliseconds."""
    found: Any = None
    """In the other run; None if it is not there."""
    count: int = 1
    """How many points differ in this way."""
    allowed: str = ""
    """Why it is no fault: what the backend or the options of the sink declare. Empty for a fault."""

    def __str__(self) -> str:
        at = "" if self.step is None else f" at step {self.step}"
        many = "" if self.count == 1 else f" ({self.count} points, the first{at})"
        values = "" if self.expected is None and self.found is None else f": {self.expected!r} became {self.found!r}"
        reason = f" [{self.allowed}]" if self.allowed else ""
        return f"{self.subject} {self.name!r}{many or at}: {self.problem}{values}{reason}"
