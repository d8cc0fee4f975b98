"""The live runs of a process at interpreter exit, at signals, and in forked children."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from unitrack.delivery.waiting import wait_for_runs
from unitrack.errors import DeliveryWarning, UnitrackError, warn_from_thread
from unitrack.limits import CONTAINER_STALL_S, EXIT_TIMEOUT_S, READ_AT_KILL_S
from unitrack.run.exit_status import ExitStatus
from unitrack.run.housekeeper import Housekeeper
from unitrack.run.live_run import LiveRun

if TYPE_CHECKING:
    from unitrack.delivery.report import DeliveryReport
    from unitrack.delivery.waiting import RunWait
    from unitrack.records import EndStatus


class LiveRuns:
    """The runs of this process that have not ended. There is one instance, `live`."""

    def __init__(self) -> None:
        self.runs: list[LiveRun] = []
        self._inherited: list[LiveRun] = []
        """Runs of the parent process, kept because a child of this child needs a journal of its own as well."""
        self._lock = threading.RLock()
        """Held by a run that begins and by a housekeeper that ends, so that no run is left without one."""
        self._housekeeper: Housekeeper | None = None
        self._exit_status = ExitStatus()
        self._is_installed = False
        self._ends_with_worker = False
        self._leaving_as: EndStatus | None = None
        """The status of open runs, once the interpreter is about to exit; None before."""

    def watch(self, run: LiveRun) -> None:
        """Watch a run until `forget`: sync its journal, restart its couriers, warn of trouble, end it at exit."""
        self._install()
        with self._lock:
            self.runs.append(run)
            if self._housekeeper is None or not self._housekeeper.is_alive():
                self._housekeeper = Housekeeper(self.runs, self._needs)
                self._housekeeper.start()

    def forget(self, run: LiveRun) -> None:
        """Stop watching a run that has ended."""
        with contextlib.suppress(ValueError):
            self.runs.remove(run)

    def _needs(self, housekeeper: Housekeeper) -> bool:
        """Return whether there are runs for this housekeeper to watch; if not, the next run starts another one."""
        with self._lock:
            if not self.runs and self._housekeeper is housekeeper:
                self._housekeeper = None
            return self._housekeeper is housekeeper

    def _install(self) -> None:
        if not self._is_installed:
            self._is_installed = True
            atexit.register(self._finish_all)
            os.register_at_fork(after_in_child=self._after_fork_in_child)
            self._exit_status.watch()
        if not self._ends_with_worker and _is_worker():
            self._ends_with_worker = True
            from multiprocessing.util import Finalize  # noqa: PLC0415  # multiprocessing costs 8 ms; a worker has imported it

            Finalize(None, self._finish_all, exitpriority=-100)  # forked workers exit without `atexit` handlers
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _finish_all(self) -> None:
        """End the runs that are open at interpreter exit, then wait for all of them together.

        The wait is bounded in total; couriers go on without this process. A signal during it finds the runs ended.
        """
        deadline = time.monotonic() + EXIT_TIMEOUT_S
        error = sys.exception()  # of a multiprocessing worker, which `sys.excepthook` does not get
        failed = error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0))
        status = self._leaving_as = "failed" if failed or _code_of_worker() else self._exit_status.status
        ended: list[tuple[LiveRun, RunWait]] = []
        for run in self._quick_ones_first(status):
            with _errors_as_warnings(run):
                if (waiting := run.end_at_exit(status, deadline)) is not None:
                    ended.append((run, waiting))
        reports = wait_for_runs([waiting for _, waiting in ended], deadline)
        in_containers = self.wait_in_containers([run for run, _ in ended])
        for (run, _), report in zip(ended, reports, strict=True):
            run.let_go()
            with _errors_as_warnings(run):
                run.conclude(in_containers.get(run.id, report))

    @staticmethod
    def wait_in_containers(runs: Sequence[LiveRun]) -> dict[str, DeliveryReport]:
        """Wait for delivery, as long as it makes progress, of the runs whose couriers die with this process.

        Return their reports by the runs' ids. Warns of records that are still not delivered.
        """
        concerned = [run for run in runs if run.ends_container()]
        if not concerned:
            return {}
        seconds = max(run.container_timeout for run in concerned)
        waits = [run.wait_for_completion() for run in concerned]
        reports = wait_for_runs(waits, time.monotonic() + seconds, stall=CONTAINER_STALL_S)
        for run, report in zip(concerned, reports, strict=True):
            run.warn_of_loss(report)
        return {run.id: report for run, report in zip(concerned, reports, strict=True)}

    def _quick_ones_first(self, status: EndStatus) -> list[LiveRun]:
        """Return the live runs, with those last whose end waits for a device or for other ranks."""
        return sorted(self.runs, key=lambda run: not run.ends_at_once(status))

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        """End the runs as killed, then die of the signal as if it had no handler.

        If the interpreter was already about to exit, runs get the status of that exit.
        """
        status, deadline = self._leaving_as or "killed", time.monotonic() + READ_AT_KILL_S
        for run in self._quick_ones_first(status):
            with contextlib.suppress(UnitrackError):
                run.end_as_killed(status, deadline)
        if self.runs:
            from unitrack.delivery.courier.pool import pool  # noqa: PLC0415  # subprocess costs 4 ms; `start_run` has imported it

            pool.send_rest(deadline)
            self.wait_in_containers(list(self.runs))
        if os.getpid() == 1:
            os._exit(128 + signum)  # the kernel ignores a signal that PID 1 sends to itself
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def _after_fork_in_child(self) -> None:
        self._leaving_as = None
        self._inherited.extend(self.runs)
        self.runs.clear()  # the parent ends them
        for run in self._inherited:
            run.continue_in_child()
        self._ends_with_worker = False
        self._housekeeper = None
        self._lock = threading.RLock()


def _is_worker() -> bool:
    """Return whether `multiprocessing` has started this process, without importing it."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


@contextlib.contextmanager
def _errors_as_warnings(run: LiveRun) -> Iterator[None]:
    try:
        yield
    except UnitrackError as error:
        warn_from_thread(f"run {run.name!r}: {error}", DeliveryWarning)


def _code_of_worker() -> int:
    """Return the exit code of a forked worker of `multiprocessing` that is about to exit; 0 in any other process.

    Python 3.13 runs exit handlers after the exception is gone, so only a local variable of the caller's frame has the
    code. Earlier versions have `sys.exception()`.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # the documented way to the caller's frame
    while frame is not None and frame.f_code.co_name != "_bootstrap":
        if frame.f_globals.get("__name__") in ("multiprocessing.popen_fork", "multiprocessing.forkserver"):
            return int(frame.f_locals.get("code", 0))
        frame = frame.f_back
    return 0


live = LiveRuns()
"""The live runs of this process."""
