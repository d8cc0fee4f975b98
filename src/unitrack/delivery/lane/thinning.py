"""`log_frequency`: keep every n-th point of each metric, and always its first and its last."""

from __future__ import annotations

from typing import Any

import msgspec

from unitrack.records import SYSTEM_PREFIX, Metrics


class Thinning:
    """Thins the metrics of one lane. The journal keeps all points, so the last one is known whatever happens."""

    def __init__(self, every: int, state: dict[str, Any]) -> None:
        self._every = every
        self._seen: dict[str, int] = dict(state.get("seen", {}))
        self._held: dict[str, Metrics] = msgspec.convert(state.get("held", {}), dict[str, Metrics])

    def state(self) -> dict[str, Any]:
        """Return what must be remembered across a restart, as JSON values."""
        if self._every == 1:
            return {}
        return {"seen": dict(self._seen), "held": msgspec.to_builtins(self._held)}

    def thin(self, record: Metrics) -> Metrics | None:
        """Return the record with the points that stay; None if none does."""
        if self._every == 1:
            return record
        kept: dict[str, float] = {}
        for name, value in record.values().items():
            seen = self._seen.get(name, 0)
            if name.startswith(SYSTEM_PREFIX) or seen % self._every == 0:
                kept[name] = value
                self._held.pop(name, None)
            else:
                self._held[name] = record.with_values({name: value})
            self._seen[name] = seen + 1
        return record.with_values(kept) if kept else None

    def take_last(self) -> list[Metrics]:
        """Return the last point of each metric that ended between two kept ones."""
        held, self._held = self._held, {}
        return sorted(held.values(), key=lambda record: record.seq)
