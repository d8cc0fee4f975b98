"""What `on_sink_error: raise` raises for."""

import pytest

from unitrack import DeliveryError, DeliveryReport, SinkReport
from unitrack.delivery.ledger import LaneState
from unitrack.delivery.waiting import raise_for_trouble


def report(state: LaneState, pending: int = 0, dead_lettered: int = 0) -> DeliveryReport:
    """The account of one sink called "late"."""
    sink = SinkReport(sink="late", state=state, delivered=1, pending=pending, dead_lettered=dead_lettered)
    return DeliveryReport({"late": sink})


@pytest.mark.parametrize(
    "troubled", [report("retrying", pending=1), report("parked", pending=1), report("complete", dead_lettered=1)]
)
@pytest.mark.parametrize("at_end", [False, True])
def test_trouble_raises_at_any_time(troubled: DeliveryReport, at_end: bool) -> None:
    """A sink that backs off, is parked, or refused something."""
    with pytest.raises(DeliveryError, match="late"):
        raise_for_trouble(troubled, at_end=at_end)


def test_what_is_merely_under_way_raises_only_at_the_end() -> None:
    """During the run pending is normal; at its end it has not arrived."""
    raise_for_trouble(report("delivering", pending=1))
    with pytest.raises(DeliveryError, match="1 pending"):
        raise_for_trouble(report("delivering", pending=1), at_end=True)


def test_all_arrived_raises_nothing() -> None:
    """Complete is complete."""
    raise_for_trouble(report("complete"), at_end=True)
