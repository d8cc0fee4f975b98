"""The training process's side of its couriers: starting them, giving them orders, reviving one that died."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import msgspec

from unitrack.delivery.lane import Lane
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.orders import Order
from unitrack.delivery.workers import LaneThread
from unitrack.limits import MAX_COURIER_RESTARTS
from unitrack.runfolder import LaneSpec, RunFolder


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives us on purpose, so no warning when it does."""

    def __del__(self) -> None:
        """Leave it running."""


class _Courier:
    """One courier process and the orders that it was given."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.restarts = 0
        self.orders: list[Order] = []
        self.process: _Detached | None = None
        self._pipe = -1
        self._log = os.devnull

    def start(self) -> None:
        """Start the process. Raises `OSError` where none can be started."""
        if not sys.executable:
            raise OSError("this Python has no executable to start")
        with open(self._log, "ab") as log:
            self.process = _Detached(
                [sys.executable, "-P", "-m", "unitrack.delivery.courier"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe = os.dup(self.process.stdin.fileno())
        self.process.stdin.close()

    def give(self, order: Order) -> None:
        """Send an order, starting the process for the first."""
        self.forget_completed()
        self.orders.append(order)
        if self.process is None:
            self._log = os.path.join(order.folder, ".unitrack", f"{self.backend}.log")
            self.start()
        try:
            self._send(order)
        except BrokenPipeError:
            self.revive()

    def _send(self, order: Order) -> None:
        data = msgspec.json.encode(order) + b"\n"
        while data:
            data = data[os.write(self._pipe, data) :]

    def forget_completed(self) -> None:
        """Keep only the orders whose run has not ended."""
        self.orders = [order for order in self.orders if not _is_complete(order)]

    def revive(self) -> None:
        """If the process died, start another and give it what is open; a crash loop is parked, with the reason."""
        if self.process is None or self.process.poll() is None:
            return
        self.forget_completed()
        if not self.orders:
            self.process = None
            return
        reason = f"the courier of {self.backend} died (exit code {self.process.returncode}); see {self._log}"
        if self.restarts >= MAX_COURIER_RESTARTS:
            for order in self.orders:
                _park(order, f"{reason}; it was restarted {self.restarts} times")
            self.orders = []
            self.process = None
            return
        self.restarts += 1
        self.start()
        for order in self.orders:
            self._send(order)


class CourierPool:
    """The couriers of this process, one for each backend, shared by all its runs."""

    def __init__(self) -> None:
        self._couriers: dict[str, _Courier] = {}

    def deliver(self, folder: RunFolder, lane: LaneSpec, sample_every: float | None) -> LaneThread | None:
        """Have a courier deliver one sink of a run; where no process can be started, a thread of this process does."""
        courier = self._couriers.setdefault(lane.backend, _Courier(lane.backend))
        try:
            courier.give(
                Order(
                    folder=str(folder.path),
                    lane=lane,
                    sample_every=sample_every,
                    sys_path=[path for path in sys.path if path],
                )
            )
        except OSError as error:
            del self._couriers[lane.backend]
            warnings.warn(
                f"unitrack can't start a courier process for {lane.backend} ({error}); a thread of this process "
                "delivers instead, as with delivery='thread'",
                stacklevel=4,
            )
            thread = LaneThread(Lane(folder, lane, owner_is_here=True))
            thread.start()
            return thread
        return None

    def revive(self) -> None:
        """Restart couriers that died before their time."""
        for courier in list(self._couriers.values()):
            courier.revive()


def _is_complete(order: Order) -> bool:
    folder = RunFolder(Path(order.folder))
    return not folder.state.exists() or Ledger.load(folder.ledger_file(order.lane.name)).state == "complete"


def _park(order: Order, reason: str) -> None:
    file = RunFolder(Path(order.folder)).ledger_file(order.lane.name)
    ledger = Ledger.load(file)
    ledger.state, ledger.last_error = "parked", reason
    ledger.save(file)


pool = CourierPool()
