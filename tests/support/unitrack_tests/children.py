"""Training code in processes of its own, and what of its points is missing or there twice afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from unitrack.local.source import LocalSource
from unitrack.records import Metrics

PREAMBLE = """
import json, os, sys, threading, time, warnings
import unitrack
warnings.simplefilter("ignore", unitrack.DeliveryWarning)
"""

Point = tuple[str, int, float]
"""Metric, step, value."""


def run_child(*arguments: str, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, and fail if it does not end well: by which code or signal, and what it said.

    `options` are those of `subprocess.run`. A child that dies of a fault prints where, by `faulthandler`.
    """
    command = [sys.executable, "-X", "faulthandler", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    assert done.returncode == 0, how_it_ended(done)
    return done


def how_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    """The exit code or the signal of a child, and all it printed."""
    code = done.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"the child {how}\nstdout: {done.stdout!r}\nstderr: {done.stderr}"


def train(folder: Path, code: str, *arguments: str, timeout: float = 120, **environ: str) -> list[Any]:
    """Run a script, and give what it printed: one JSON value a line. It has a file, as spawned workers need it."""
    script = folder / "train.py"
    script.write_text(PREAMBLE + code)
    done = run_child(str(script), *arguments, timeout=timeout, cwd=folder, env={**os.environ, **environ})
    return [json.loads(line) for line in done.stdout.splitlines()]


def points_in(folder: Path) -> list[Point]:
    """All points in the local files of a run."""
    return [
        (name, record.step, value)
        for record in LocalSource(str(folder)).records(folder.name)
        if isinstance(record, Metrics)
        for name, value in record.values().items()
        if not name.startswith("system/")
    ]


def curve(name: str, length: int) -> list[Point]:
    """What a loop has logged that logs `step / 7` as `name` at each step."""
    return [(name, step, step / 7) for step in range(length)]


def lost_and_doubled(logged: Iterable[Point], found: Iterable[Point]) -> tuple[int, int]:
    """How many points are missing, and how many are there again, or were never logged."""
    expected, there = Counter(logged), Counter(found)
    return (expected - there).total(), (there - expected).total()


def wait_until(happened: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something, and fail if it doesn't happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has died and was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
