"""The training process's side of its couriers: starting them, giving them orders, reviving one that died."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from unitrack.delivery.ledger import Ledger
from unitrack.delivery.orders import Order
from unitrack.errors import JournalError
from unitrack.limits import MAX_COURIER_RESTARTS
from unitrack.runfolder import LaneSpec, RunFolder
from unitrack.warning import warn_caller

if TYPE_CHECKING:
    from unitrack.delivery.workers import LaneThread


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives us on purpose, so no warning when it does."""

    def __del__(self) -> None:
        """Leave it running."""


class _Courier:
    """One courier process and the orders that it was given."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._deaths: dict[tuple[str, str], tuple[int, int]] = {}
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

    def let_go(self) -> None:
        """Close the pipe."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _send(self, order: Order) -> None:
        data = msgspec.json.encode(order) + b"\n"
        while data:
            data = data[os.write(self._pipe, data) :]

    def forget_completed(self) -> None:
        """Keep only the orders whose run has not ended."""
        self.orders = [order for order in self.orders if not _is_complete(order)]

    def revive(self) -> None:
        """If the process died, start another and give it what is open; what it dies of again and again is parked."""
        if self.process is None or self.process.poll() is None:
            return
        self.forget_completed()
        reason = f"the courier of {self.backend} died (exit code {self.process.returncode}); see {self._log}"
        for order in [order for order in self.orders if self._is_fruitless(order)]:
            _park(order, f"{reason}; it was restarted {MAX_COURIER_RESTARTS} times and delivered nothing more")
            self.orders.remove(order)
        if not self.orders:
            self.process = None
            return
        self.start()
        for order in self.orders:
            self._send(order)

    def _is_fruitless(self, order: Order) -> bool:
        """Whether the process has died again, too often by now, with nothing delivered since the death before."""
        folder = RunFolder(Path(order.folder))
        ledger = Ledger.load(folder.ledger_file(order.lane.name))
        account = ledger.delivered + ledger.dead_lettered + ledger.damaged
        before, deaths = self._deaths.get((order.folder, order.lane.name), (-1, 0))
        deaths = deaths + 1 if account == before and ledger.pending(folder) else 1
        self._deaths[order.folder, order.lane.name] = (account, deaths)
        return deaths > MAX_COURIER_RESTARTS


class CourierPool:
    """The couriers of this process, one for each backend, shared by all its runs and threads."""

    def __init__(self) -> None:
        self._couriers: dict[str, _Courier] = {}
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def _leave_to_parent(self) -> None:
        """After a fork: the parent's couriers are not the child's to revive. The pipes stay open, as they should."""
        self._couriers = {}
        self._lock = threading.RLock()

    def deliver(self, folder: RunFolder, lane: LaneSpec, sample_every: float | None) -> LaneThread | None:
        """Have a courier deliver one sink of a run; where no process can be started, a thread of this process does."""
        order = Order(
            folder=str(folder.path),
            lane=lane,
            sample_every=sample_every,
            sys_path=[os.path.abspath(path) for path in sys.path],  # "" is the folder that we work in
        )
        try:
            with self._lock:
                courier = self._couriers.setdefault(lane.backend, _Courier(lane.backend))
                courier.give(order)
        except OSError as error:
            self._couriers.pop(lane.backend, None)
            warn_caller(
                f"unitrack can't start a courier process for {lane.backend} ({error}); a thread of this process "
                "delivers instead, as with delivery='thread'"
            )
            from unitrack.delivery.lane import Lane
            from unitrack.delivery.workers import LaneThread

            thread = LaneThread(Lane(folder, lane, owner_is_here=True))
            thread.start()
            return thread
        return None

    def revive(self) -> None:
        """Restart couriers that died before their time."""
        with self._lock:
            for courier in self._couriers.values():
                with contextlib.suppress(OSError):  # no process can be started now: the next call tries again
                    courier.revive()

    def let_go(self) -> None:
        """Close the pipes: the couriers deliver what is left and exit, as when this process ends."""
        with self._lock:
            for courier in self._couriers.values():
                courier.let_go()
            self._couriers = {}


def _is_complete(order: Order) -> bool:
    folder = RunFolder(Path(order.folder))
    try:
        owner = folder.read_manifest().owner
    except JournalError:  # the folder was deleted
        return True
    return Ledger.load(folder.ledger_file(order.lane.name)).ended_writer == owner.writer


def _park(order: Order, reason: str) -> None:
    file = RunFolder(Path(order.folder)).ledger_file(order.lane.name)
    ledger = Ledger.load(file)
    ledger.state, ledger.last_error = "parked", reason
    ledger.save(file)


pool = CourierPool()
