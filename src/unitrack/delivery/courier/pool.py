"""The couriers of this process: one for each backend, shared by all its runs.

A courier has the environment in which it was started. A run that starts with other keys or addresses gets another one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from unitrack.alerts import AlertTerms
from unitrack.delivery.courier.access import access_variables
from unitrack.delivery.courier.child import CourierChild
from unitrack.delivery.courier.protocol import Order, Terms
from unitrack.errors import warn_caller
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder

if TYPE_CHECKING:
    from unitrack.delivery.lane.thread import LaneThread


class CourierPool:
    """One courier for each backend, shared by all runs and threads of this process."""

    def __init__(self) -> None:
        self._couriers: list[CourierChild] = []
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def _leave_to_parent(self) -> None:
        """In a forked child: forget the couriers, which the parent revives. The pipes stay open."""
        self._couriers = []
        self._lock = threading.RLock()

    def deliver(self, folder: RunFolder, lane: LaneSpec, terms: Terms) -> LaneThread | None:
        """Have a courier deliver one sink of a run; where no process can be started, a thread of this process does."""
        order = Order(
            folder=str(folder.path),
            lane=lane,
            terms=terms,
            sys_path=[os.path.abspath(path) for path in sys.path],  # "" is the folder that we work in
        )
        try:
            with self._lock:
                courier = self._courier_for(lane.backend)
                try:
                    courier.give(order)
                except OSError:
                    self._couriers.remove(courier)
                    raise
        except OSError as error:
            warn_caller(
                f"unitrack can't start a courier process for {lane.backend} ({error}); a thread of this process "
                "delivers instead, as with delivery='thread'"
            )
            from unitrack.delivery.lane.lane import Lane  # noqa: PLC0415  # 3 ms
            from unitrack.delivery.lane.thread import LaneThread  # noqa: PLC0415  # beside Lane

            thread = LaneThread(Lane(folder, lane, owner_is_here=True), linger=terms.linger, crowd=terms.crowd)
            thread.start()
            return thread
        return None

    def _courier_for(self, backend: str) -> CourierChild:
        """Return the courier of a new run: one that has the keys and addresses of now."""
        access = access_variables(os.environ)
        for courier in [courier for courier in self._couriers if courier.backend == backend]:
            if courier.access == access:
                return courier
            if not courier.is_needed():
                courier.let_go()
                self._couriers.remove(courier)
        self._couriers.append(CourierChild(backend))
        return self._couriers[-1]

    def _courier_of(self, folder: RunFolder, lane: LaneSpec) -> CourierChild:
        """Return the courier of a sink of a run. Raises `OSError` if there is none."""
        couriers = [courier for courier in self._couriers if courier.backend == lane.backend]
        if not couriers:
            raise OSError(f"there is no courier of {lane.backend}")
        return next((courier for courier in couriers if courier.has(folder, lane.name)), couriers[-1])

    def answer(self, folder: RunFolder, lane: LaneSpec, request: str) -> None:
        """Have the courier of a sink answer a request of its run. Raises `OSError` if there is none."""
        with self._lock:
            self._courier_of(folder, lane).give(Order(folder=str(folder.path), lane=lane, request=request))

    def watch(self, folder: RunFolder, lane: LaneSpec, alerts: AlertTerms) -> None:
        """Have the courier of a sink watch for alerts of its run as well. Raises `OSError` if there is none."""
        order = Order(folder=str(folder.path), lane=lane, terms=Terms(alerts=alerts), only_watch=True)
        with self._lock:
            self._courier_of(folder, lane).give(order)

    def revive(self) -> None:
        """Restart couriers that died before their time."""
        with self._lock:
            for courier in self._couriers:
                with contextlib.suppress(OSError):  # no process can be started now: the next call tries again
                    courier.revive()

    def send_rest(self, deadline: float) -> None:
        """In a signal handler, before this process dies: send couriers that were slow to start all their orders.

        It takes at most until `deadline` of the monotonic clock.
        """
        if self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            try:
                for courier in list(self._couriers):
                    courier.send_rest(deadline)
            finally:
                self._lock.release()

    def let_go(self) -> None:
        """Close the pipes: the couriers deliver what is left and exit, as when this process ends."""
        with self._lock:
            for courier in self._couriers:
                courier.let_go()
            self._couriers = []


pool = CourierPool()
