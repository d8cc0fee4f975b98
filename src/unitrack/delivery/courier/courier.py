"""The courier: a process that delivers all runs of its owner to one backend.

It reads orders, one JSON object a line, from a pipe that its owner and the owner's children hold open. End of file
means that they are gone: it delivers what is left, marks runs that nobody ended as failed, and exits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Never

import psutil

from unitrack import limits
from unitrack.delivery.alert_watch import AlertWatch
from unitrack.delivery.answering import Answer
from unitrack.delivery.courier import importing, log
from unitrack.delivery.courier.leftovers import Leftovers
from unitrack.delivery.courier.protocol import Farewell, Heart, Order
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.thread import LaneThread
from unitrack.delivery.system_metrics import SystemSampler
from unitrack.errors import UnitrackError
from unitrack.runfolder.run_folder import RunFolder
from unitrack.values.codec import decode

_LEFT_EARLY = os.EX_TEMPFAIL


class Courier:
    """The lanes of the process, and its health, of which it tells the owner every second."""

    def __init__(self, heart: Heart) -> None:
        self._heart = heart
        self._checked_at = -limits.HEARTBEAT_S
        self._lanes: list[LaneThread] = []
        self._companions: list[tuple[SystemSampler | AlertWatch, LaneThread]] = []
        """Threads that look at a run as long as its sink is delivered to."""
        self._answers: list[Answer] = []
        """Threads that do what a log call left to do; lanes wait for their journals."""
        self._put_off: list[Order] = []
        """Orders to try again: there were too many open files, for example."""
        self._leftovers = Leftovers(heart.tell, self._is_resting)
        self._must_leave_at: float | None = None
        self._has_exempted = False

    def carry_out(self, order: Order) -> None:
        """Begin to deliver one sink of one run. An order for a run folder that is gone is dropped."""
        if order.sys_path:
            sys.path.extend(path for path in order.sys_path if path not in sys.path)
        folder = RunFolder(Path(order.folder))
        if order.request:
            answer = Answer(folder, order.request)
            answer.start()
            self._answers.append(answer)
            return
        if order.only_watch:
            for lane in self._lanes:
                if lane.lane.folder.path == folder.path and lane.lane.spec.name == order.lane.name:
                    self._accompany(lane, order)
            return
        try:
            prepare = functools.partial(importing.import_in_turn, folder, order.lane)
            terms = order.terms
            lane = LaneThread(Lane(folder, order.lane), linger=terms.linger, prepare=prepare, crowd=terms.crowd)
            if order.terms.take_up:
                self._leftovers.look_beside(lane.lane)
        except (UnitrackError, OSError) as error:
            print(f"unitrack: {error}", file=sys.stderr, flush=True)
            if not folder.is_gone():
                self._put_off.append(order)
            return
        self._accompany(lane, order)  # first: a lane waits for processes that write when the run ends
        lane.start()
        self._lanes.append(lane)

    def _accompany(self, lane: LaneThread, order: Order) -> None:
        """Start the threads that look at the run of a lane."""
        folder, terms = lane.lane.folder, order.terms
        companions: list[SystemSampler | AlertWatch] = []
        if terms.sample_every and not order.only_watch:
            companions.append(SystemSampler(folder, terms.sample_every))
        if terms.alerts is not None:
            companions.append(AlertWatch(folder, terms.alerts))
        for companion in companions:
            companion.start()
            self._companions.append((companion, lane))

    def serve(self, orders: int) -> None:
        """Carry out the orders that come from a descriptor until it ends, then deliver what is left."""
        buffered = b""
        while True:
            ready, _, _ = select.select([orders], [], [], limits.HEARTBEAT_S)
            if ready:
                data = os.read(orders, 65536)
                if not data:
                    break
                *lines, buffered = (buffered + data).split(b"\n")
                for line in lines:
                    self.carry_out(decode(line, Order))
            if self._put_off and not ready:
                put_off, self._put_off = self._put_off, []
                for order in put_off:
                    self.carry_out(order)
            self._forget_finished()
            self._check_up()
            self._leave_if_stuck()
            self._leftovers.go_on()
        self._drain()

    def _forget_finished(self) -> None:
        self._answers = [answer for answer in self._answers if answer.is_alive()]
        self._lanes = [lane for lane in self._lanes if lane.is_alive()]
        for companion, lane in self._companions:
            if not lane.is_alive():
                companion.stop()
        self._companions = [(companion, lane) for companion, lane in self._companions if lane.is_alive()]

    def _is_resting(self) -> bool:
        """Whether the own runs have everything, apart from lanes whose call will not return."""
        return all(lane.is_resting or lane.is_hung() for lane in self._lanes)

    def _drain(self) -> None:
        for companion, _ in self._companions:
            companion.stop()
        deadline = time.monotonic() + limits.ANSWER_S
        while time.monotonic() < deadline and (answers := [one for one in self._answers if one.is_alive()]):
            self._check_up()
            answers[0].join(limits.HEARTBEAT_S)  # the lanes go on meanwhile
        for lane in self._lanes:
            lane.drain()
        while waited_for := [lane for lane in self._lanes if lane.is_alive() and not lane.is_hung()]:
            self._check_up()
            waited_for[0].join(limits.HEARTBEAT_S)
        while (last := self._leftovers.go_on()) is not None:
            self._check_up()
            last.join(limits.HEARTBEAT_S)

    # -- health -------------------------------------------------------------------------------------------------------

    def _check_up(self) -> None:
        """Tell the owner once a second that all is well, and keep log and memory within bounds."""
        if time.monotonic() - self._checked_at < limits.HEARTBEAT_S:
            return
        self._checked_at = time.monotonic()
        self._heart.beat()
        if not self._has_exempted and any(lane.has_stepped for lane in self._lanes):
            self._has_exempted = True
            importing.exempt_from_collection()
        self._leave_on_sigterm()
        log.shorten(2)
        grown_to = psutil.Process().memory_info().rss
        if grown_to > limits.COURIER_RSS_BYTES:
            self._leave(Farewell(f"left since it had grown to {grown_to // limits.MIB:,} MiB of memory"))

    def _leave_on_sigterm(self) -> None:
        """Once SIGTERM is pending (it is blocked), go on with what there is for `TERM_GRACE_S`, then leave."""
        now = time.monotonic()
        if self._must_leave_at is None and signal.SIGTERM in signal.sigpending():
            self._must_leave_at = now + limits.TERM_GRACE_S
            self._leftovers.stop(now)
        if self._must_leave_at is not None and now >= self._must_leave_at:
            self._leave(Farewell("left since it was sent SIGTERM"))

    def _leave_if_stuck(self) -> None:
        """Leave if a call of a sink does not return: a thread can't be ended, so the process has to be."""
        stuck = [lane.lane for lane in self._lanes if lane.is_alive() and lane.is_stuck()]
        if stuck:
            faulthandler.dump_traceback(2)
            lanes = [(str(lane.folder.path), lane.spec.name) for lane in stuck]
            self._leave(Farewell(f"left since a call of the sink took more than {limits.SINK_HUNG_S:g} s", lanes))

    def _leave(self, farewell: Farewell) -> Never:
        """Stop after the calls under way and exit. The owner, if it lives, starts another courier."""
        for companion, _ in self._companions:
            companion.stop()
        for lane in self._lanes:
            lane.stop()
        deadline = time.monotonic() + limits.COURIER_LEAVES_WITHIN_S
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))
        self._leftovers.stop(deadline)
        self._heart.tell(farewell)
        end_process(_LEFT_EARLY)


def end_process(code: int) -> Never:
    """Exit at once, past the exit handlers and threads of SDKs, which may hang: everything is committed."""
    with contextlib.suppress(OSError, ValueError):  # a sink may have closed them
        sys.stdout.flush()
        sys.stderr.flush()
    log.shorten(2)
    os._exit(code)
