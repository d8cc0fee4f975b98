"""The machine: processor, memory, GPUs and their driver, without importing any framework."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from unitrack.environment.record import Gpu, Machine
from unitrack.limits import MIB

_DRIVER = Path("/proc/driver/nvidia")
_QUERY = ("name", "memory.total", "driver_version")
_GPU_TIMEOUT_S = 20
"""nvidia-smi takes seconds on a machine of eight GPUs whose driver is not loaded yet."""


def describe_host() -> Machine:
    """Return what is known at once: the host, the architecture, the processors that this process may use."""
    return Machine(host=platform.node(), architecture=platform.machine(), cores=usable_cores())


def describe_machine(cores: int | None = None) -> Machine:
    """Return the whole description. `cores`: those that the run's own process may use."""
    gpus, driver = _gpus()
    return Machine(
        host=platform.node(),
        cpu=_cpu_model(),
        architecture=platform.machine(),
        cores=cores or usable_cores(),
        memory=_memory(),
        gpus=gpus,
        driver=driver or _driver_version(),
        cuda=_cuda() if gpus else "",
    )


def usable_cores() -> int | None:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1].strip()
    if shutil.which("sysctl"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return platform.processor()


def _memory() -> int | None:
    """Return the bytes that the machine has, or the bound of its container."""
    total: int | None = None
    with contextlib.suppress(ValueError, OSError, AttributeError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            bound = int(Path(file).read_text(encoding="ascii"))
            return bound if total is None else min(bound, total)
    return total


def _gpus() -> tuple[tuple[Gpu, ...], str]:
    """Return the GPUs and the driver's version, as nvidia-smi, else the driver's own files, say."""
    if program := shutil.which("nvidia-smi"):
        command = [program, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_TIMEOUT_S, check=True)
            return read_gpus(done.stdout)
    gpus = []
    with contextlib.suppress(OSError):
        for file in sorted(_DRIVER.glob("gpus/*/information")):
            if found := re.search(r"^Model:\s*(.+)$", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE):
                gpus.append(Gpu(name=found[1].strip()))
    return tuple(gpus), ""


def read_gpus(text: str) -> tuple[tuple[Gpu, ...], str]:
    """Return the GPUs and the driver's version of what nvidia-smi prints for `name,memory.total,driver_version`."""
    gpus, driver = [], ""
    for line in text.splitlines():
        name, _, rest = line.partition(",")
        memory, _, version = rest.partition(",")
        if name.strip() and version.strip():
            size = memory.strip()
            gpus.append(Gpu(name=name.strip(), memory=int(float(size) * MIB) if _is_number(size) else None))
            driver = version.strip()
    return tuple(gpus), driver


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None  # "[N/A]" for what the card does not report


def _driver_version() -> str:
    with contextlib.suppress(OSError):
        text = (_DRIVER / "version").read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text):
            return found[1]
    return ""


def _cuda() -> str:
    """Return the highest version of CUDA that the driver supports, as the head of nvidia-smi's table names it."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=_GPU_TIMEOUT_S, check=True)
        if found := re.search(r"CUDA Version:\s*([\d.]+)", done.stdout):
            return found[1]
    return ""
