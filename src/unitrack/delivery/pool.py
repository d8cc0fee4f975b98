"""The training process's side of its couriers: starting them, giving them orders, reviving one that died."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from unitrack import limits
from unitrack.delivery import courier_log
from unitrack.delivery.heartbeat import Pulse
from unitrack.delivery.ledger import LaneState, Ledger
from unitrack.delivery.orders import Order, Terms
from unitrack.errors import DeliveryWarning, JournalError
from unitrack.journal import Position
from unitrack.manifest import LaneSpec
from unitrack.runfolder import RunFolder
from unitrack.safe_files import open_private
from unitrack.warning import warn_caller, warn_from_thread

if TYPE_CHECKING:
    from unitrack.delivery.workers import LaneThread


_DIES_WITHIN_S = 1.0


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives us on purpose, so no warning when it does."""

    def __del__(self) -> None:
        """Leave it running."""


class _Deaths(NamedTuple):
    """How far a sink had come when its courier died, and how often it has died there."""

    account: int
    accepted: dict[str, Position]
    """The furthest: a backend that confirms only at the end begins anew after each death."""
    number: int


class _Courier:
    """One courier process and the orders that it was given."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.orders: list[Order] = []
        self.process: _Detached | None = None
        self._deaths: dict[tuple[str, str], _Deaths] = {}
        self._parked: list[tuple[float, Order]] = []
        """When to try again what the process died of."""
        self._restart_due = 0.0
        self._pipe = -1
        self._unsent = b""
        self._is_sending = False
        self._has_told = False
        self._pulse: Pulse | None = None
        self._log = Path(os.devnull)
        self._log_begin = 0

    def start(self) -> None:
        """Start the process. Raises `OSError` where none can be started."""
        if not sys.executable:
            raise OSError("this Python has no executable to start")
        self.let_go()
        self._log = RunFolder(Path(self.orders[0].folder)).state / f"{self.backend}.log"
        pulse = Pulse()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # inherited: see `courier.main`
        try:
            with open(self._log, "a+b", opener=open_private) as log:
                courier_log.shorten(log.fileno())
                self._log_begin = courier_log.size(self._log)
                self.process = _Detached(
                    [sys.executable, "-P", "-m", "unitrack.delivery.courier", str(pulse.courier_end)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[pulse.courier_end],
                    start_new_session=True,
                )
        except BaseException:
            pulse.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            pulse.close_courier_end()
        self._pulse = pulse
        self._step_back()
        assert self.process.stdin is not None
        self._pipe = os.dup(self.process.stdin.fileno())
        self._unsent, self._is_sending = b"", False
        os.set_blocking(self._pipe, False)
        self.process.stdin.close()

    def _step_back(self) -> None:
        """Lower the priority of the process, before it has threads: imports of SDKs take seconds of the processor.

        Linux groups processes by session, and shares the processor among groups first: there the group is what counts.
        """
        assert self.process is not None
        nice, pid = self.orders[0].terms.nice, self.process.pid
        if not nice:
            return
        with contextlib.suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + nice)
        with contextlib.suppress(OSError):  # another system, or a kernel without groups
            Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")

    def give(self, order: Order) -> None:
        """Send an order, starting the process for the first. One that is to be started again gets it then."""
        self.forget_completed()
        is_first = not self.orders
        self.orders.append(order)
        if self.process is None:
            if not is_first:
                return
            self.start()
        try:
            self._send(order)
        except BrokenPipeError:
            self.revive()

    def let_go(self) -> None:
        """Close the pipes."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None

    def _send(self, order: Order) -> None:
        self._unsent += msgspec.json.encode(order) + b"\n"
        self._send_on()

    def _send_on(self) -> None:
        """Write what the pipe takes: one that is stopped reads nothing, and nobody who starts a run waits for it."""
        self._is_sending = True
        with contextlib.suppress(BlockingIOError):  # on with it at the next housekeeping, or to the courier after it
            while self._unsent:
                self._unsent = self._unsent[os.write(self._pipe, self._unsent) :]
        self._is_sending = False

    def send_rest(self, deadline: float) -> None:
        """Send what the pipe had no room for, at most until `deadline`; nothing if a signal came into `_send_on`."""
        with contextlib.suppress(OSError):  # the process has died
            while self._unsent and not self._is_sending and time.monotonic() < deadline:
                self._send_on()
                time.sleep(limits.POLL_MIN_S)

    def forget_completed(self) -> None:
        """Keep only the orders whose run has not ended."""
        self.orders = [order for order in self.orders if not _is_complete(order)]

    def revive(self) -> None:
        """If the process died or is stuck, start another and give it what is open.

        What it dies of again and again is parked, and tried again as seldom as any parked sink.
        """
        if self.process is not None:
            cause, guilty = self._end()
            if cause is None:
                self._send_on()
                return
            self.process = None
            self._account(f"the courier of {self.backend} {cause}", guilty)
        now = time.monotonic()
        self.orders += [order for due, order in self._parked if due <= now]
        self._parked = [(due, order) for due, order in self._parked if due > now]
        if self.orders and now >= self._restart_due:
            self.forget_completed()
            if self.orders:
                self.start()
                for order in self.orders:
                    self._send(order)

    def _end(self) -> tuple[str | None, list[tuple[str, str]]]:
        """What the process came to its end by, and the run folders and sinks that it blames; None if it is well."""
        assert self.process is not None and self._pulse is not None
        if self.process.poll() is None:
            if not self._pulse.is_silent():
                self._tell_news()
                return None, []
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a disk: the next one waits for its lock
                self.process.wait(_DIES_WITHIN_S)
            return f"gave no sign of life for {limits.COURIER_SILENT_S:g} s and was killed; see {self._log}", []
        if farewell := self._pulse.last_words():
            return f"{farewell.reason}; see {self._log}", farewell.lanes
        return courier_log.cause_of_death(self.process.returncode, self._log, self._log_begin), []

    def _tell_news(self) -> None:
        """Say, once, that the courier also delivers what is not of this process."""
        assert self._pulse is not None
        if not self._has_told and (news := self._pulse.news()):
            self._has_told = True
            runs = "an earlier run" if news.runs == 1 else f"{news.runs} earlier runs"
            warn_from_thread(
                f"unitrack also delivers to {self.backend} what {runs} under {news.root} left pending "
                "(tracking.take_up: false leaves it to `unitrack sync`)",
                DeliveryWarning,
            )

    def _account(self, cause: str, guilty: list[tuple[str, str]]) -> None:
        """Park those that the process has died of too often; say when it is started again."""
        from unitrack.delivery.backoff import pause, pause_of_parked

        self.forget_completed()
        fruitless = 0
        for order in list(self.orders):
            if guilty and (order.folder, order.lane.name) not in guilty:
                continue
            deaths = self._count_death(order)
            if deaths > limits.MAX_COURIER_RESTARTS:
                tried = f"{cause}; it was restarted {limits.MAX_COURIER_RESTARTS} times and delivered nothing more"
                again_in = pause_of_parked()
                _tell(order, "parked", tried, deaths, again_in)
                self.orders.remove(order)
                self._parked.append((time.monotonic() + again_in, order))
            else:
                fruitless = max(fruitless, deaths - 1)
        delay = pause(fruitless - 1) if fruitless else 0.0  # a first death may be anything, so it costs no time
        self._restart_due = time.monotonic() + delay
        if delay:
            for order in self.orders:
                _tell(order, "retrying", cause, fruitless, delay)

    def _count_death(self, order: Order) -> int:
        """How often the process has died by now since something of this order was delivered."""
        folder = RunFolder(Path(order.folder))
        ledger = Ledger.load(folder.ledger_file(order.lane.name))
        account = ledger.delivered + ledger.dead_lettered + ledger.damaged
        before = self._deaths.get((order.folder, order.lane.name), _Deaths(-1, {}, 0))
        further = account != before.account or any(
            position > before.accepted.get(writer, Position()) for writer, position in ledger.accepted.items()
        )
        deaths = 1 if further or not ledger.pending(folder) else before.number + 1
        accepted = before.accepted | ledger.accepted if further else before.accepted
        self._deaths[order.folder, order.lane.name] = _Deaths(account, accepted, deaths)
        return deaths


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

            thread = LaneThread(Lane(folder, lane, owner_is_here=True), linger=terms.linger)
            thread.start()
            return thread
        return None

    def revive(self) -> None:
        """Restart couriers that died before their time."""
        with self._lock:
            for courier in self._couriers.values():
                with contextlib.suppress(OSError):  # no process can be started now: the next call tries again
                    courier.revive()

    def send_rest(self, deadline: float) -> None:
        """In a signal handler, before this process dies: let couriers that were slow to start have all their orders.

        At most until `deadline` of the monotonic clock.
        """
        if self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            try:
                for courier in list(self._couriers.values()):
                    courier.send_rest(deadline)
            finally:
                self._lock.release()

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
    except JournalError:
        return folder.is_gone()
    return Ledger.load(folder.ledger_file(order.lane.name)).ended_writer == owner.writer


def _tell(order: Order, state: LaneState, reason: str, attempts: int, delay: float) -> None:
    """Note in the ledger of a sink that nobody delivers to what is wrong, and when it is tried again."""
    folder = RunFolder(Path(order.folder))
    with contextlib.suppress(OSError), folder.lane_lock(order.lane.name) as is_ours:
        if is_ours:
            file = folder.ledger_file(order.lane.name)
            ledger = Ledger.read(file)
            ledger.state, ledger.last_error, ledger.attempts, ledger.pid = state, reason, attempts, os.getpid()
            ledger.session = folder.read_manifest().owner.writer
            ledger.retry_at = int((time.time() + delay) * 1000)
            ledger.save(file)


pool = CourierPool()
