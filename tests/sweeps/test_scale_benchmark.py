"""benchmarks/scale.py in a small form: all points of all nodes arrive once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scale.py"


@pytest.mark.timeout(300)
def test_it_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    pytest.importorskip("unitrack_mlflow")
    pytest.importorskip("distributed", reason="it takes a while: it is one of the tests of the tox environment scale")
    arguments = [
        "--nodes",
        "8",
        "--steps",
        "3",
        "--limit",
        "60",
        "--stores",
        "sqlite",
        "--clients",
        "unitrack",
        "--workers",
        "1",
    ]
    command = [sys.executable, str(BENCHMARK), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│ sqlite")]
    [cells] = [[cell.strip() for cell in row] for row in rows]
    assert cells[2] == "unitrack"
    assert cells[-4:-1] == ["100.0%", "0", "0"]
