"""The run that others are compared with."""

from __future__ import annotations

from functools import cached_property

import msgspec

from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.check import Check
from unitrack.manager.verification.differ import find_differences
from unitrack.reading import StoredRun


class Reference:
    """A run that others are compared with. Its artifacts are hashed once, however many those are."""

    def __init__(self, run: StoredRun) -> None:
        self.run = run

    @cached_property
    def _digests(self) -> dict[str, str]:
        return self.run.digests()

    def described(self, check: Check) -> Check:
        """Return the check of the reference itself: what it holds. Raises `SourceError`."""
        points = sum(metric.points for metric in self.run.metrics.values())
        return _filled(check, self.run, points=points, files=len(self._digests))

    def compared(self, check: Check, run: StoredRun, allowances: Allowances) -> Check:
        """Return the check of another run: what it holds, and how that differs. Raises `SourceError`."""
        found = find_differences(self.run, run, allowances, self._digests)
        filled = _filled(check, run, points=found.points, files=found.files)
        return msgspec.structs.replace(filled, differences=tuple(found.differences))


def _filled(check: Check, run: StoredRun, *, points: int, files: int) -> Check:
    counts = {"params": len(run.params), "tags": len(run.tags)}
    return msgspec.structs.replace(check, points=points, files=files, status=run.status, **counts)
