"""`python -m unitrack.delivery.courier [DESCRIPTOR]`: a courier that takes its orders from standard input.

`DESCRIPTOR`: the pipe to which it writes that it is well.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys

from unitrack.delivery.courier.courier import Courier, end_process
from unitrack.delivery.courier.protocol import Heart


def main() -> None:
    """Serve the standard input until it ends.

    SIGTERM is blocked in all threads, and in what a backend's SDK starts: a scheduler sends it to all processes of a
    job at once, and what training logs at its end is still to be delivered.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for training; the pipe tells when that has ended
    with contextlib.suppress(OSError, ValueError):
        faulthandler.enable(all_threads=False)  # a segfault says where
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else NumPy, which SDKs import, starts one for each core
    orders = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # so that nothing a backend runs can eat orders
    Courier(Heart(int(sys.argv[1]) if len(sys.argv) > 1 else -1)).serve(orders)
    end_process(0)


if __name__ == "__main__":
    main()
