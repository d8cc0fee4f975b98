"""What it costs to import unitrack, to start a run, and to do a whole small run, interpreter included."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.table import Table

ROUNDS = 11

NOTHING = "pass"
IMPORT = "import unitrack"
START = """
import time, unitrack
before = time.perf_counter()
run = unitrack.start_run("bench", sinks=["local"])
print(time.perf_counter() - before)
run.finish()
"""
WHOLE = """
import unitrack
with unitrack.start_run("bench", sinks=["local"]) as run:
    for step in range(10):
        run.log_metrics({"loss": 1 / (step + 1)}, step=step)
"""


def run(folder: Path) -> Table:
    """Medians of whole processes, in interleaved rounds."""
    totals: dict[str, list[float]] = {NOTHING: [], IMPORT: [], START: [], WHOLE: []}
    starts: list[float] = []
    for script in (IMPORT, WHOLE):  # bytecode and disk caches
        _run(script, folder)
    for _ in range(ROUNDS):
        for script, spent in totals.items():
            before = time.perf_counter()
            printed = _run(script, folder)
            spent.append(time.perf_counter() - before)
            if script is START:
                starts.append(float(printed))
    floor = statistics.median(totals[NOTHING])
    table = Table("what", "ms", "limit ms", title="starting up (median of processes)")
    table.add_row("python -c pass: the floor", f"{floor * 1000:.0f}", "")
    table.add_row("import unitrack, beyond that", f"{(statistics.median(totals[IMPORT]) - floor) * 1000:.0f}", "80")
    table.add_row("start_run returns in", f"{statistics.median(starts) * 1000:.0f}", "60")
    whole = statistics.median(totals[WHOLE])
    table.add_row("a local run of 10 steps, all in all", f"{whole * 1000:.0f}", "600")
    return table


def _run(script: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout
