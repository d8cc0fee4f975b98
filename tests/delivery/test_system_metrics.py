"""The metrics of the machine and of the run's processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unitrack.delivery import system_metrics
from unitrack.delivery.system_metrics import ProcessTree

MEMORY = "import sys; block = b'x' * (64 * 2**20); print('ready', flush=True); sys.stdin.read()"


def test_the_processes_that_training_started_count_and_couriers_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaders of data and commands count, with what they start themselves."""
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {MEMORY!r}])"
    training = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {command!r}])"
    with subprocess.Popen([sys.executable, "-c", training], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        tree = ProcessTree(child.pid)
        both, cpu = tree.memory_and_cpu()
        monkeypatch.setattr(system_metrics, "_COURIER", command)
        without, _ = tree.memory_and_cpu()
        child.communicate()
    assert both > without + 64
    assert cpu >= 0
    assert 0 < without < 64
