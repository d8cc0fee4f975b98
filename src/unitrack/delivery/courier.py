"""The courier: a process that delivers all runs of its owner to one backend. `python -m unitrack.delivery.courier`.

It reads orders, one JSON object a line, from its standard input, a pipe that its owner and the owner's children hold
open. End of file means that they are gone: it delivers what is left, marks runs that nobody ended as failed, and exits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Never

import msgspec
import psutil

from unitrack import limits
from unitrack.delivery import courier_log
from unitrack.delivery.heartbeat import Farewell, Heart
from unitrack.delivery.lane import Lane
from unitrack.delivery.leftovers import Leftovers
from unitrack.delivery.orders import Order
from unitrack.delivery.system_metrics import SystemSampler
from unitrack.delivery.workers import LaneThread
from unitrack.errors import UnitrackError
from unitrack.runfolder import RunFolder

_LEFT_EARLY = os.EX_TEMPFAIL


class Courier:
    """The lanes of one process, and its health: the owner hears a beat every second, and why it leaves if it does."""

    def __init__(self, heart: Heart) -> None:
        self._heart = heart
        self._checked_at = -limits.HEARTBEAT_S
        self._lanes: list[LaneThread] = []
        self._samplers: list[tuple[SystemSampler, LaneThread]] = []
        self._put_off: list[Order] = []  # too many open files, say
        self._leftovers = Leftovers(heart.say, self._is_resting)
        self._must_leave_at: float | None = None

    def obey(self, order: Order) -> None:
        """Carry out one order. A run folder that is gone is nobody's to deliver."""
        if order.sys_path:
            sys.path.extend(path for path in order.sys_path if path not in sys.path)
        folder = RunFolder(Path(order.folder))
        try:
            lane = LaneThread(Lane(folder, order.lane), linger=order.terms.linger)
            if order.terms.take_up:
                self._leftovers.look_beside(lane.lane)
        except (UnitrackError, OSError) as error:
            print(f"unitrack: {error}", file=sys.stderr, flush=True)
            if not folder.is_gone():
                self._put_off.append(order)
            return
        lane.start()
        self._lanes.append(lane)
        if order.terms.sample_every:
            sampler = SystemSampler(folder, order.terms.sample_every)
            sampler.start()
            self._samplers.append((sampler, lane))

    def serve(self, orders: int) -> None:
        """Obey what comes from a descriptor until it ends, then drain."""
        buffered = b""
        while True:
            ready, _, _ = select.select([orders], [], [], limits.HEARTBEAT_S)
            if ready:
                data = os.read(orders, 65536)
                if not data:
                    break
                *lines, buffered = (buffered + data).split(b"\n")
                for line in lines:
                    self.obey(msgspec.json.decode(line, type=Order))
            if self._put_off and not ready:
                put_off, self._put_off = self._put_off, []
                for order in put_off:
                    self.obey(order)
            self._forget_finished()
            self._check_up()
            self._leave_if_stuck()
            self._leftovers.go_on()
        self._drain()

    def _forget_finished(self) -> None:
        self._lanes = [lane for lane in self._lanes if lane.is_alive()]
        for sampler, lane in self._samplers:
            if not lane.is_alive():
                sampler.stop()
        self._samplers = [(sampler, lane) for sampler, lane in self._samplers if lane.is_alive()]

    def _is_resting(self) -> bool:
        """Whether the own runs have everything; a lane whose call will not return is not waited for."""
        return all(lane.is_resting or lane.is_hung() for lane in self._lanes)

    def _drain(self) -> None:
        for sampler, _ in self._samplers:
            sampler.stop()
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
        """Once a second: tell that all is well, and keep log and memory within bounds."""
        if time.monotonic() - self._checked_at < limits.HEARTBEAT_S:
            return
        self._checked_at = time.monotonic()
        self._heart.beat()
        self._heed_sigterm()
        courier_log.shorten(2)
        grown_to = psutil.Process().memory_info().rss
        if grown_to > limits.COURIER_RSS_BYTES:
            self._leave(Farewell(f"left since it had grown to {grown_to // limits.MIB:,} MiB of memory"))

    def _heed_sigterm(self) -> None:
        """SIGTERM is blocked and stays pending: go on with what there is for a while, and take up nothing more."""
        now = time.monotonic()
        if self._must_leave_at is None and signal.SIGTERM in signal.sigpending():
            self._must_leave_at = now + limits.TERM_GRACE_S
            self._leftovers.stop(now)
        if self._must_leave_at is not None and now >= self._must_leave_at:
            self._leave(Farewell("left since it was sent SIGTERM"))

    def _leave_if_stuck(self) -> None:
        """A thread can't be ended, so the process has to be."""
        stuck = [lane.lane for lane in self._lanes if lane.is_alive() and lane.is_stuck()]
        if stuck:
            faulthandler.dump_traceback(2)
            lanes = [(str(lane.folder.path), lane.spec.name) for lane in stuck]
            self._leave(Farewell(f"left since a call of the sink took more than {limits.SINK_HUNG_S:g} s", lanes))

    def _leave(self, farewell: Farewell) -> Never:
        """Stop after the calls under way, and be started again by the owner; without one the rest is for a sync."""
        for sampler, _ in self._samplers:
            sampler.stop()
        for lane in self._lanes:
            lane.stop()
        deadline = time.monotonic() + limits.COURIER_LEAVES_WITHIN_S
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))
        self._leftovers.stop(deadline)
        self._heart.say(farewell)
        _exit(_LEFT_EARLY)


def main() -> None:
    """Serve the standard input; the argument is the descriptor to tell on that all is well.

    SIGTERM is blocked in all threads, and in what a backend's SDK starts: a scheduler sends it to all processes of a
    job at once, and what training logs at its end is still to be delivered.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for training; the pipe tells when that has ended
    with contextlib.suppress(OSError, ValueError):
        faulthandler.enable(all_threads=False)  # a segfault says where
    orders = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # so that nothing a backend runs can eat orders
    Courier(Heart(int(sys.argv[1]) if len(sys.argv) > 1 else -1)).serve(orders)
    _exit(0)


def _exit(code: int) -> Never:
    """A backend's own threads and exit handlers may hang: everything is committed, so leave."""
    with contextlib.suppress(OSError, ValueError):  # a sink may have closed them
        sys.stdout.flush()
        sys.stderr.flush()
    courier_log.shorten(2)
    os._exit(code)


if __name__ == "__main__":
    main()
