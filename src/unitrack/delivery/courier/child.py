"""A courier as seen by the process that started it, which gives it orders and starts another one when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from unitrack import limits
from unitrack.delivery.courier import log
from unitrack.delivery.courier.access import access_variables
from unitrack.delivery.courier.protocol import Order, Pulse
from unitrack.delivery.ledger import LaneState, Ledger, LockedLedger
from unitrack.errors import DeliveryWarning, JournalError, warn_from_thread
from unitrack.journal import Position
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import open_private

_DIES_WITHIN_S = 1.0
_CHECKED_AT_ONCE = 4
"""Orders that a new run checks for completion: a sweep may begin hundreds of runs before couriers have caught up."""


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives this one on purpose, without the warning of `Popen`."""

    def __del__(self) -> None:
        """Leave it running."""


class _Deaths(NamedTuple):
    """How far a sink had come when its courier died, and how often it has died there."""

    account: int
    accepted: dict[str, Position]
    """The furthest: a backend that confirms only at the end begins anew after each death."""
    number: int


class CourierChild:
    """One courier process and the orders that it was given."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.access = access_variables(os.environ)
        """The keys and addresses that the process has got."""
        self.orders: list[Order] = []
        self.process: _Detached | None = None
        self._deaths: dict[tuple[str, str], _Deaths] = {}
        self._parked: list[tuple[float, Order]] = []
        """Orders on which the process died too often, and when each is tried again."""
        self._restart_due = 0.0
        self._pipe = -1
        self._unsent = b""
        self._is_sending = False
        self._has_warned = False
        self._pulse: Pulse | None = None
        self._log = Path(os.devnull)
        self._log_begin = 0

    def start(self) -> None:
        """Start the process. Raises `OSError` where none can be started."""
        if not sys.executable:
            raise OSError("this Python has no executable to start")
        self.let_go()
        self.access = access_variables(os.environ)
        self._log = RunFolder(Path(self.orders[0].folder)).state / f"{self.backend}.log"
        pulse = Pulse()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # inherited: see `courier.__main__`
        try:
            with open(self._log, "a+b", opener=open_private) as output:
                log.shorten(output.fileno())
                self._log_begin = log.size(self._log)
                self.process = _Detached(
                    [sys.executable, "-P", "-m", "unitrack.delivery.courier", str(pulse.courier_end)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
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
        self._lower_priority()
        assert self.process.stdin is not None
        self._pipe = os.dup(self.process.stdin.fileno())
        self._unsent, self._is_sending = b"", False
        os.set_blocking(self._pipe, False)
        self.process.stdin.close()

    def _lower_priority(self) -> None:
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
        self.forget_completed(_CHECKED_AT_ONCE)
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

    def is_needed(self) -> bool:
        """Return whether it has runs that have not ended in its backend. Reads their ledgers."""
        self.forget_completed()
        return bool(self.orders or self._parked)

    def has(self, folder: RunFolder, sink: str) -> bool:
        """Return whether it delivers a sink of a run."""
        return any(order.folder == str(folder.path) and order.lane.name == sink for order in self.orders)

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
        """Write what the pipe takes. A courier that is stopped reads nothing, and `start_run` does not wait for it."""
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

    def forget_completed(self, most: int | None = None) -> None:
        """Keep only the orders whose run has not ended, among the `most` oldest ones."""
        checked, rest = self.orders[:most], self.orders[most:] if most is not None else []
        self.orders = [order for order in checked if not _is_complete(order)] + rest

    def revive(self) -> None:
        """If the process died or is stuck, start another and give it the open orders.

        An order on which it dies again and again is parked, and tried again as seldom as any parked sink.
        """
        if self.process is not None:
            cause, blamed = self._end()
            if cause is None:
                self._send_on()
                return
            self.process = None
            self._note_death(f"the courier of {self.backend} {cause}", blamed)
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
        """Return how the process ended (None if it is well), and the run folders and sinks that it blames."""
        assert self.process is not None and self._pulse is not None
        if self.process.poll() is None:
            if not self._pulse.is_silent():
                self._warn_of_leftovers()
                return None, []
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a disk: the next one waits for its lock
                self.process.wait(_DIES_WITHIN_S)
            return f"gave no sign of life for {limits.COURIER_SILENT_S:g} s and was killed; see {self._log}", []
        if farewell := self._pulse.last_words():
            return f"{farewell.reason}; see {self._log}", farewell.lanes
        return log.cause_of_death(self.process.returncode, self._log, self._log_begin), []

    def _warn_of_leftovers(self) -> None:
        """Warn, once, that the courier also delivers what earlier runs left pending."""
        assert self._pulse is not None
        if not self._has_warned and (news := self._pulse.news()):
            self._has_warned = True
            runs = "an earlier run" if news.runs == 1 else f"{news.runs} earlier runs"
            warn_from_thread(
                f"unitrack also delivers to {self.backend} what {runs} under {news.root} left pending "
                "(tracking.take_up: false leaves it to `unitrack sync`)",
                DeliveryWarning,
            )

    def _note_death(self, cause: str, blamed: list[tuple[str, str]]) -> None:
        """Park the orders on which the process has died too often, and set the time at which it is started again."""
        from unitrack.delivery.lane.failures import pause, pause_of_parked  # noqa: PLC0415  # 1 ms, and no courier has died yet

        self.forget_completed()
        fruitless = 0
        for order in [order for order in self.orders if order.delivers]:
            if blamed and (order.folder, order.lane.name) not in blamed:
                continue
            deaths = self._count_death(order)
            if deaths > limits.MAX_COURIER_RESTARTS:
                tried = f"{cause}; it was restarted {limits.MAX_COURIER_RESTARTS} times and delivered nothing more"
                again_in = pause_of_parked()
                _enter_trouble(order, "parked", tried, deaths, again_in)
                self.orders.remove(order)
                self._parked.append((time.monotonic() + again_in, order))
            else:
                fruitless = max(fruitless, deaths - 1)
        delay = pause(fruitless - 1) if fruitless else 0.0  # a first death may be anything, so it costs no time
        self._restart_due = time.monotonic() + delay
        if delay:
            for order in [order for order in self.orders if order.delivers]:
                _enter_trouble(order, "retrying", cause, fruitless, delay)

    def _count_death(self, order: Order) -> int:
        """Count the deaths of the process since something of this order was delivered, this one included."""
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


def _is_complete(order: Order) -> bool:
    folder = RunFolder(Path(order.folder))
    try:
        owner = folder.read_manifest().owner
    except JournalError:
        return folder.is_gone()
    return Ledger.load(folder.ledger_file(order.lane.name)).ended_writer == owner.writer


def _enter_trouble(order: Order, state: LaneState, reason: str, attempts: int, delay: float) -> None:
    """Enter into the ledger of a sink what is wrong and when it is tried again, if no process delivers to it."""
    folder = RunFolder(Path(order.folder))
    ledger = LockedLedger(folder, order.lane.name)
    with contextlib.suppress(OSError):
        if ledger.acquire():
            try:
                ledger.begin_session(folder.read_manifest().owner.writer)
                ledger.update(
                    state=state, last_error=reason, attempts=attempts, retry_at=int((time.time() + delay) * 1000)
                )
                ledger.save()
            finally:
                ledger.release()
