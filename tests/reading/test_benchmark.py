"""benchmarks/reading.py in its small form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "reading.py"


def test_it_measures_every_candidate(tmp_path: Path) -> None:
    pytest.importorskip("unitrack_mlflow")
    pytest.importorskip("unitrack_tensorboard")
    command = [sys.executable, str(BENCHMARK), "--points", "500", "--runs", "4", "--rounds", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name in (
        "local again",
        "get_metric_history",
        "tensorboard:LOGDIR",
        "search_runs",
        "compare, warm",
        "streaming",
    ):
        assert name in done.stdout
