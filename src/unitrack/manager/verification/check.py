"""What one stored run holds, and how that differs from the reference."""

from __future__ import annotations

import msgspec

from unitrack.manager.verification.difference import Difference


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One stored run, compared with the reference."""

    name: str
    """The sink that has written it; of a copy, the run's name."""
    location: str = ""
    """Where it was read from: "BACKEND:PLACE"."""
    run_id: str = ""
    """Its id there."""
    points: int = 0
    params: int = 0
    tags: int = 0
    files: int = 0
    """Files of artifacts, those in folders included."""
    status: str = ""
    pending: int = 0
    """Records that this sink has not delivered yet."""
    lost: int = 0
    """Records that the backend has refused, or that are lost in damaged places of the journal."""
    is_reference: bool = False
    problem: str = ""
    """Why it could not be compared."""
    differences: tuple[Difference, ...] = ()
    """All of them; those with `allowed` are no faults."""

    @property
    def faults(self) -> tuple[Difference, ...]:
        """The differences that nothing allows."""
        return tuple(one for one in self.differences if not one.allowed)

    @property
    def ok(self) -> bool:
        """Whether it holds what the reference holds, but for what is allowed, and nothing is still to come."""
        return not (self.problem or self.faults or self.pending or self.lost)

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.problem:
            return self.problem
        parts = []
        if count := sum(one.count for one in self.faults):
            parts.append("1 difference" if count == 1 else f"{count} differences")
        if self.lost:
            parts.append(f"{self.lost} records lost")
        if self.pending:
            parts.append(f"{self.pending} records pending")
        if parts:
            return ", ".join(parts)
        if self.is_reference:
            return "the reference"
        allowed = list(dict.fromkeys(one.problem for one in self.differences))
        return f"the same, but: {', '.join(allowed)}" if allowed else "the same, bit for bit"
