"""A log call that waits for its device."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from unitrack.journal import JournalWriter
from unitrack.values.device import DeviceScalar


class UnreadCall(msgspec.Struct, frozen=True):
    """A log call some of whose values are still on a device."""

    journal: JournalWriter
    time: int
    step: int
    metrics: Mapping[str, float | DeviceScalar]

    def read(self) -> None:
        """Wait for the values of the call."""
        for value in self.metrics.values():
            if isinstance(value, DeviceScalar):
                value.read()
