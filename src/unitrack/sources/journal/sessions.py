"""Which points of a journal are superseded, because training went back to a checkpoint and logged them again.

A *session* begins with a `RunStart`: at the start of the run, at each resume, and where `load_state_dict` goes back. A
metric's points from its first step in a later session on are superseded, as in the backends that a run is delivered to
(see `unitrack.delivery.lane.curves`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from unitrack.records import SYSTEM_PREFIX, AnyRecord, Metrics, RunStart


class Sessions:
    """The first step of each metric in each session, which decides where the session before it ends."""

    def __init__(self, records: Iterable[AnyRecord]) -> None:
        firsts: list[dict[str, int]] = [{}]
        for record in records:
            if isinstance(record, RunStart):
                firsts.append({})
            elif isinstance(record, Metrics):
                for name in record.values():
                    firsts[-1].setdefault(name, record.step)
        self._ends: list[Mapping[str, int]] = []
        later: dict[str, int] = {}
        for session in reversed(firsts):
            self._ends.append(dict(later))
            for name, step in session.items():
                if not name.startswith(SYSTEM_PREFIX):
                    later[name] = min(step, later.get(name, step))
        self._ends.reverse()

    def admit(self, session: int, record: Metrics) -> Metrics | None:
        """Return the record with its points that no later session supersedes; None if there is none.

        `session`: how many `RunStart`s stand before the record.
        """
        ends = self._ends[session]
        values = record.values()
        kept = {name: value for name, value in values.items() if record.step < ends.get(name, math.inf)}
        if len(kept) == len(values):
            return record
        return record.with_values(kept) if kept else None
