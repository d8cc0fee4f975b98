"""benchmarks/integrations.py: one of its candidates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "integrations.py"


def test_it_measures_a_candidate(tmp_path: Path) -> None:
    pytest.importorskip("xgboost", reason="its wheels are large")
    command = [sys.executable, str(BENCHMARK), "--one", "xgboost", "unitrack, local", "--steps", "5"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    step, call = json.loads((tmp_path / "result.json").read_text())
    assert 0 < step / 1e6 < call
    assert len(list((tmp_path / "experiments").iterdir())) >= 1
