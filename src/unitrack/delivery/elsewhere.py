"""The delivery of a run that another process has delivered: that of a fork's parent, or of the run's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unitrack.delivery.orders import Terms
    from unitrack.manifest import LaneSpec
    from unitrack.runfolder import RunFolder


class DeliveredElsewhere:
    """Stands where the delivery of a run is, in processes that only log to it."""

    def start(self, folder: RunFolder, lanes: tuple[LaneSpec, ...], terms: Terms) -> None:
        """The owner has done it."""

    def pump(self) -> None:
        """The owner does it."""

    def close(self) -> None:
        """The owner will do it."""
