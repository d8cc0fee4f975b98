"""CPU, memory, disk, network and GPU as `system/...` metrics, sampled in a courier, not in training."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import psutil

from unitrack.errors import JournalError
from unitrack.journal import JournalWriter
from unitrack.limits import MIB, POLL_MAX_S
from unitrack.records import SYSTEM_PREFIX, Metrics, RunEnd
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life

_COURIER = "unitrack.delivery.courier"
"""The module that a courier runs."""
_GPU_QUERY = ("utilization.gpu", "memory.used", "temperature.gpu", "power.draw")
_GPU_NAMES = ("utilization_percent", "memory_mib", "temperature_c", "power_w")


class SystemSampler(threading.Thread):
    """Writes samples into a journal of its own in the run's spool, so that every sink gets the same ones.

    The step of a sample is the number of intervals since the run began, so a restarted courier goes on where the last
    one stopped.
    """

    def __init__(self, folder: RunFolder, interval: float) -> None:
        super().__init__(name="unitrack-system-metrics", daemon=True)
        self._folder = folder
        self._manifest = folder.read_manifest()
        self._interval = interval
        self._begun_at = time.monotonic()  # steps go on with it: the wall clock may be set
        self._begun_after = max(0.0, time.time() - self._manifest.run.time / 1000)
        self._stopped = threading.Event()
        self._io_before: tuple[float, dict[str, float]] | None = None

    def run(self) -> None:
        """Sample until told to stop or the journal can't be written any more."""
        owner = self._manifest.owner
        process = ProcessTree(owner.pid) if owner.is_near() and owner.is_alive() else None
        try:
            journal = JournalWriter(self._folder.spool)
        except JournalError:
            return
        try:
            while True:
                self._append(journal, process)
                if self._run_ends_within(self._interval):
                    break
        except JournalError:
            pass  # the disk is full or the folder gone: training hears of it from its own log calls
        finally:
            self._close(journal)

    def _run_ends_within(self, seconds: float) -> bool:
        due = time.monotonic() + seconds
        while (left := due - time.monotonic()) > 0:
            if self._stopped.wait(min(left, POLL_MAX_S)) or self._folder.ended_file.exists():
                return True
        return self._folder.life_of(self._manifest.owner) is Life.GONE

    def _append(self, journal: JournalWriter, process: ProcessTree | None) -> None:
        step = int((self._begun_after + time.monotonic() - self._begun_at) / self._interval)
        journal.write(Metrics, step=step, metrics=self.sample(process))

    def _close(self, journal: JournalWriter) -> None:
        with contextlib.suppress(JournalError):
            journal.write(RunEnd, status="finished")  # ends this writer only
        journal.close()

    def sample(self, owner: ProcessTree | None) -> dict[str, float]:
        """Return one sample: percent, MiB, and MiB/s since the sample before."""
        memory = psutil.virtual_memory()
        values: dict[str, float] = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": memory.percent,
            "memory_used_mib": memory.used / MIB,
            "disk_used_percent": psutil.disk_usage(str(self._folder.path)).percent,
            **self._rates(),
            **_gpus(),
        }
        if owner is not None:
            with contextlib.suppress(psutil.Error):  # it has just died: the lanes will notice
                values["process_memory_mib"], values["process_cpu_percent"] = owner.memory_and_cpu()
        return {f"{SYSTEM_PREFIX}{name}": value for name, value in values.items()}

    def _rates(self) -> dict[str, float]:
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        now, totals = time.monotonic(), dict[str, float]()
        if disk is not None:
            totals |= {"disk_read": disk.read_bytes, "disk_write": disk.write_bytes}
        if network is not None:
            totals |= {"network_sent": network.bytes_sent, "network_received": network.bytes_recv}
        before, self._io_before = self._io_before, (now, totals)
        if before is None:
            return {}
        elapsed = max(now - before[0], 1e-9)
        return {
            f"{name}_mib_per_s": (total - before[1][name]) / MIB / elapsed
            for name, total in totals.items()
            if name in before[1]
        }

    def stop(self) -> None:
        """Take no more samples."""
        self._stopped.set()


class ProcessTree:
    """The process that owns a run, with the processes that it has started: loaders of data, a command. No couriers."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._known: dict[int, psutil.Process] = {pid: self._root}

    def memory_and_cpu(self) -> tuple[float, float]:
        """Return the resident memory in MiB, and the percent of one CPU since the last call. Raises `psutil.Error`."""
        found = self._below(self._root)
        self._known = {one.pid: self._known.get(one.pid, one) for one in (self._root, *found)}
        memory = cpu = 0.0
        for process in self._known.values():
            with contextlib.suppress(psutil.NoSuchProcess):  # a short command
                memory += process.memory_info().rss / MIB
                cpu += process.cpu_percent()
        return memory, cpu

    def _below(self, process: psutil.Process) -> Iterator[psutil.Process]:
        for child in process.children():
            if not _is_courier(child):
                yield child
                with contextlib.suppress(psutil.Error):
                    yield from self._below(child)


def _is_courier(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return _COURIER in process.cmdline()
    return False


@functools.cache
def _nvidia_smi() -> str | None:
    return shutil.which("nvidia-smi")


def _gpus() -> dict[str, float]:
    """Return what `nvidia-smi` reports of each GPU; nothing where there is none."""
    program = _nvidia_smi()
    if program is None:
        return {}
    command = [program, f"--query-gpu={','.join(_GPU_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    values: dict[str, float] = {}
    for index, line in enumerate(answer.strip().splitlines()):
        for name, text in zip(_GPU_NAMES, line.split(","), strict=False):
            try:
                values[f"gpu.{index}.{name}"] = float(text)
            except ValueError:
                continue  # "[N/A]" for what the card does not report
    return values
