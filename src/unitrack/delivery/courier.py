"""The courier: a process that delivers all runs of its owner to one backend. `python -m unitrack.delivery.courier`.

It reads orders, one JSON object a line, from its standard input, a pipe that its owner and the owner's children hold
open. End of file means that they are gone: it delivers what is left, marks runs that nobody ended as failed, and exits.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

import msgspec

from unitrack import limits
from unitrack.delivery.lane import Lane
from unitrack.delivery.orders import Order
from unitrack.delivery.system_metrics import SystemSampler
from unitrack.delivery.workers import LaneThread
from unitrack.errors import UnitrackError
from unitrack.runfolder import RunFolder

_IDLE_S = 1.0  # how often finished lanes are forgotten while no order comes


class Courier:
    """The lanes of one process."""

    def __init__(self) -> None:
        self._lanes: list[LaneThread] = []
        self._samplers: list[tuple[SystemSampler, LaneThread]] = []

    def obey(self, order: Order) -> None:
        """Carry out one order. A run folder that is gone is nobody's to deliver."""
        if order.sys_path:
            sys.path.extend(path for path in order.sys_path if path not in sys.path)
        folder = RunFolder(Path(order.folder))
        try:
            lane = LaneThread(Lane(folder, order.lane))
        except UnitrackError as error:
            print(f"unitrack: {error}", file=sys.stderr, flush=True)
            return
        lane.start()
        self._lanes.append(lane)
        if order.sample_every:
            sampler = SystemSampler(folder, order.sample_every)
            sampler.start()
            self._samplers.append((sampler, lane))

    def serve(self, orders: int) -> None:
        """Obey what comes from a descriptor until it ends, then drain."""
        buffered = b""
        while True:
            ready, _, _ = select.select([orders], [], [], _IDLE_S)
            if ready:
                data = os.read(orders, 65536)
                if not data:
                    break
                *lines, buffered = (buffered + data).split(b"\n")
                for line in lines:
                    self.obey(msgspec.json.decode(line, type=Order))
            self._forget_finished()
        self._drain()

    def _forget_finished(self) -> None:
        self._lanes = [lane for lane in self._lanes if lane.is_alive()]
        for sampler, lane in self._samplers:
            if not lane.is_alive():
                sampler.stop()
        self._samplers = [(sampler, lane) for sampler, lane in self._samplers if lane.is_alive()]

    def _drain(self) -> None:
        for sampler, _ in self._samplers:
            sampler.stop()
        for lane in self._lanes:
            lane.drain()
        while any(lane.is_alive() and not lane.is_hung() for lane in self._lanes):
            time.sleep(limits.POLL_MIN_S)


def main() -> None:
    """Serve the standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for training; the pipe tells when that has ended
    orders = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # so that nothing a backend runs can eat orders
    Courier().serve(orders)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a backend's own threads and exit handlers may hang: everything is committed, so leave


if __name__ == "__main__":
    main()
