"""The interface of a run for interpreter exit, signals, forks and housekeeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from unitrack.errors import DeliveryWarning

if TYPE_CHECKING:
    from unitrack.delivery.report import DeliveryReport
    from unitrack.delivery.waiting import RunWait
    from unitrack.records import EndStatus


class Trouble(NamedTuple):
    """A problem of which the user is warned once."""

    about: str
    """The part of the run that it concerns; there is one warning for each."""
    text: str
    category: type[Warning] = DeliveryWarning


class LiveRun(Protocol):
    """A run that has not ended, as `lifecycle` and the housekeeper use it."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def name(self) -> str:
        """The run's name."""

    # at the exit of the interpreter

    def ends_at_once(self, status: EndStatus) -> bool:
        """Return whether ending the run's journal needs no wait."""

    def end_at_exit(self, status: EndStatus, deadline: float) -> RunWait | None:
        """End the journal by `deadline` of the monotonic clock; return the wait for delivery, or None without one."""

    def let_go(self) -> None:
        """Stop watching the run and close its delivery."""

    def conclude(self, report: DeliveryReport) -> DeliveryReport:
        """Store the run's report; warn or raise if a sink is in trouble."""

    # at a signal, and where couriers die with this process

    def end_as_killed(self, status: EndStatus, deadline: float) -> None:
        """End the journal by `deadline`, in a signal handler."""

    def ends_container(self) -> bool:
        """Return whether the couriers of the run die with this process."""

    @property
    def container_timeout(self) -> float:
        """Seconds to wait for delivery if they do."""

    def wait_for_completion(self) -> RunWait:
        """Return the wait until each sink has confirmed the end of the run."""

    def warn_of_loss(self, report: DeliveryReport) -> None:
        """Warn of records that are not delivered when the container ends."""

    # in the child of a fork

    def continue_in_child(self) -> None:
        """Log into a journal of this process from now on."""

    # in the housekeeper's thread

    def beat(self) -> None:
        """Renew the sign of life, which processes on other machines check."""

    def sync(self) -> Trouble | None:
        """Sync the journal to the disk; return the trouble if that fails."""

    def tend(self) -> list[Trouble]:
        """Check the run's folder and sinks; return their troubles."""
