"""What happens to runs beyond their log calls: interpreter exit, signals, forks, and the housekeeping in between."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, ClassVar

from unitrack import exit_status
from unitrack.announcing import announce_link
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.waiting import wait_for_runs
from unitrack.disk_trouble import remedy
from unitrack.errors import DeliveryWarning, UnitrackError
from unitrack.journal import sync_journals
from unitrack.limits import BEAT_S, CONTAINER_STALL_S, EXIT_TIMEOUT_S, HOUSEKEEPING_S, READ_AT_KILL_S, SYNC_INTERVAL_S
from unitrack.warning import warn_from_thread

if TYPE_CHECKING:
    from unitrack.delivery.report import DeliveryReport
    from unitrack.delivery.waiting import RunWait
    from unitrack.ending import Ending
    from unitrack.records import EndStatus

_live: list[Ending] = []
_inherited: list[Ending] = []
"""Runs of the process that this one was forked from: their children's children need journals of their own, too."""
_installed = False
_ends_with_worker = False
_leaving_as: EndStatus | None = None
"""What open runs end as, once the interpreter is about to exit."""


def watch(run: Ending) -> None:
    """Look after a run until `forget`: sync its journal, revive its couriers, tell of trouble, end it at exit."""
    _install()
    with _Housekeeper.lock:
        _live.append(run)
        _Housekeeper.ensure()


def forget(run: Ending) -> None:
    """The run has finished."""
    with contextlib.suppress(ValueError):
        _live.remove(run)


def _install() -> None:
    global _installed, _ends_with_worker
    if not _installed:
        _installed = True
        atexit.register(_finish_all)
        os.register_at_fork(after_in_child=_after_fork_in_child)
        exit_status.watch()
    if not _ends_with_worker and _is_worker():
        _ends_with_worker = True
        from multiprocessing.util import Finalize

        Finalize(None, _finish_all, exitpriority=-100)  # forked workers leave without what atexit holds
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _is_worker() -> bool:
    """Whether `multiprocessing`, which takes long to import, has started this process."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _finish_all() -> None:
    """At interpreter exit: end the runs that nobody ended, then wait for all of them together.

    Bounded in all; couriers go on without us. A signal that comes meanwhile finds them ended.
    """
    global _leaving_as
    deadline = time.monotonic() + EXIT_TIMEOUT_S
    error = sys.exception()  # of a multiprocessing worker, which is not left to `sys.excepthook`
    failed = error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0))
    status = _leaving_as = "failed" if failed or _code_of_worker() else exit_status.at_exit()
    ended: list[tuple[Ending, RunWait]] = []
    for run in _quick_ones_first(status):
        with _telling_errors_of(run):
            if (waiting := run._end_at_exit(status, deadline)) is not None:
                ended.append((run, waiting))
    reports = wait_for_runs([waiting for _, waiting in ended], deadline)
    in_containers = wait_in_containers([run for run, _ in ended])
    for (run, _), report in zip(ended, reports, strict=True):
        run._let_go()
        with _telling_errors_of(run):
            run._conclude(in_containers.get(run.id, report))


def wait_in_containers(runs: Sequence[Ending]) -> dict[str, DeliveryReport]:
    """Wait for delivery as long as it progresses, of runs whose couriers die with this process; return their accounts.

    By the ids of those runs. Warns of what stays behind all the same.
    """
    concerned = [run for run in runs if run._ends_container()]
    if not concerned:
        return {}
    seconds = max(run._settings.tracking.container_timeout for run in concerned)
    waits = [run._waiting("complete", patient=True) for run in concerned]
    reports = wait_for_runs(waits, time.monotonic() + seconds, stall=CONTAINER_STALL_S)
    for run, report in zip(concerned, reports, strict=True):
        run._tell_what_stays(report)
    return {run.id: report for run, report in zip(concerned, reports, strict=True)}


def _quick_ones_first(status: EndStatus) -> list[Ending]:
    """The live runs: those whose end waits for a device, or for other ranks, after all that can end at once."""
    return sorted(_live, key=lambda run: not run._ends_at_once(status))


@contextlib.contextmanager
def _telling_errors_of(run: Ending) -> Iterator[None]:
    try:
        yield
    except UnitrackError as error:
        warn_from_thread(f"run {run.name!r}: {error}", DeliveryWarning)


def _code_of_worker() -> int:
    """What a forked worker of `multiprocessing` will leave with, where that runs exit handlers after the exception is
    gone (Python 3.13; before, `sys.exception()` tells): only the caller's frame has it. 0 anywhere else.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_bootstrap":
        if frame.f_globals.get("__name__") in ("multiprocessing.popen_fork", "multiprocessing.forkserver"):
            return int(frame.f_locals.get("code", 0))
        frame = frame.f_back
    return 0


def _on_sigterm(signum: int, frame: FrameType | None) -> None:
    """Record that the runs were killed, then die of the signal as if nobody had caught it.

    Runs end as they would have if the interpreter was already about to exit.
    """
    status, deadline = _leaving_as or "killed", time.monotonic() + READ_AT_KILL_S
    for run in _quick_ones_first(status):
        with contextlib.suppress(UnitrackError):
            run._end_at_signal(status, deadline)
    if _live:
        from unitrack.delivery.pool import pool

        pool.send_rest(deadline)
        wait_in_containers(list(_live))
    if os.getpid() == 1:
        os._exit(128 + signum)  # the kernel keeps a signal of its own from PID 1
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def _after_fork_in_child() -> None:
    global _ends_with_worker, _leaving_as
    _leaving_as = None
    _inherited.extend(_live)
    _live.clear()  # the parent ends them
    for run in _inherited:
        run._continue_in_child()
    _ends_with_worker = False
    _Housekeeper.current = None
    _Housekeeper.lock = threading.RLock()


class _Housekeeper(threading.Thread):
    """One daemon thread a process, awake for microseconds a second."""

    current: _Housekeeper | None = None
    lock: ClassVar = threading.RLock()
    """A run that begins and a housekeeper that leaves agree on whether it looks after that run."""

    def __init__(self) -> None:
        super().__init__(name="unitrack-housekeeper", daemon=True)
        self._synced_at = self._beat_at = time.monotonic()
        self._warned: set[tuple[str, str]] = set()

    @classmethod
    def ensure(cls) -> None:
        """Have one running. Hold `lock`."""
        if cls.current is None or not cls.current.is_alive():
            cls.current = cls()
            cls.current.start()

    def run(self) -> None:
        """Look after the live runs for as long as there are any."""
        while self._is_wanted():
            try:
                self._look_around()
            except MemoryError:  # training may catch its own and go on
                continue
            except Exception as error:  # a defect here must not leave couriers dead and journals unsynced in silence
                self._warn_once(
                    ("", type(error).__name__),
                    "looking after the runs failed; training goes on, nothing is lost, and it is tried again every "
                    f"{HOUSEKEEPING_S:g} s: {type(error).__name__}: {error}",
                )

    def _is_wanted(self) -> bool:
        """Return after a while whether there are live runs to look after; if not, the next run gets another thread."""
        time.sleep(HOUSEKEEPING_S)
        cls = type(self)
        with cls.lock:
            if not _live and cls.current is self:
                cls.current = None
            return cls.current is self

    def _look_around(self) -> None:
        from unitrack.delivery.pool import pool

        with contextlib.suppress(OSError):
            pool.revive()
        self._beat()
        due = time.monotonic() - self._synced_at >= SYNC_INTERVAL_S
        for run in list(_live):
            if due:
                self._sync(run)
            if run._pid == os.getpid():  # else its owner does this
                self._tell_trouble(run)
        if due:
            self._synced_at = time.monotonic()

    def _beat(self) -> None:
        if time.monotonic() - self._beat_at >= BEAT_S:
            self._beat_at = time.monotonic()
            for run in list(_live):
                with contextlib.suppress(UnitrackError):  # it has just finished
                    run._journal.beat()

    def _sync(self, run: Ending) -> None:
        try:
            run._journal.sync()
            if run._pid == os.getpid():
                sync_journals(run._folder.spool)  # those of forked children, who have no housekeeper
        except UnitrackError:  # it has just finished
            return
        except OSError as error:
            if error.errno == errno.EBADF:  # the same
                return
            self._warn_once(
                (run.id, "sync"),
                f"the journal of run {run.name!r} can't be synced to the disk ({error.strerror}); training goes on, "
                f"but a loss of power may cost what was logged; {remedy(error.errno)}",
            )

    def _tell_trouble(self, run: Ending) -> None:
        if run._folder.is_gone():
            self._warn_once(
                (run.id, "gone"),
                f"the folder of run {run.name!r} was deleted while it runs, {run.path}: what is logged from now on is "
                "lost; start another run",
            )
            return
        for sink in run._settings.sinks:
            ledger = Ledger.load(run._folder.ledger_file(sink.name))
            announce_link(run, sink.name, ledger.link)
            if ledger.state in ("retrying", "parked"):
                self._warn_once(
                    (run.id, f"sink {sink.name}"),
                    f"sink {sink.name!r} of run {run.name!r} is {ledger.state}; training goes on, nothing is lost: "
                    f"{ledger.last_error}",
                )

    def _warn_once(self, about: tuple[str, str], text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            warn_from_thread(text, DeliveryWarning)
