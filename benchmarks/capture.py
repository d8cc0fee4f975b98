"""What a log call of another tracker costs a script: as it is, captured, and replaced."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.table import Table

PROGRAM = """
import json, sys, time
kind, count = sys.argv[1], int(sys.argv[2])
if kind == "wandb":
    import wandb
    wandb.init(project="bench", config={"lr": 0.1})
    def log(step): wandb.log({"loss": 1.0 / (step + 1), "acc": 0.5})
elif kind == "tensorboardX":
    from tensorboardX import SummaryWriter
    writer = SummaryWriter("logs")
    def log(step): writer.add_scalar("loss", 1.0 / (step + 1), step)
elif kind == "mlflow":
    import mlflow
    mlflow.set_tracking_uri("sqlite:///bench.db")
    mlflow.start_run()
    def log(step): mlflow.log_metrics({"loss": 1.0 / (step + 1), "acc": 0.5}, step=step)
else:
    import trackio
    trackio.init(project="bench", embed=False, auto_log_cpu=False)
    def log(step): trackio.log({"loss": 1.0 / (step + 1), "acc": 0.5})
for step in range(20):
    log(step)
times = []
for step in range(20, 20 + count):
    before = time.perf_counter()
    log(step)
    times.append(time.perf_counter() - before)
times.sort()
print("TIMES", json.dumps([times[len(times) // 2] * 1e6, times[int(len(times) * 0.99)] * 1e6]))
"""
CALLS = {"wandb": 2000, "tensorboardX": 2000, "mlflow": 200, "trackio": 2000}
REPLACED = ("wandb", "tensorboardX", "mlflow")
ROUNDS = 3


def run(folder: Path) -> Table:
    """Return the table: medians over rounds, of the median and the 99th percentile of a call."""
    (folder / "program.py").write_text(PROGRAM)
    found: dict[tuple[str, str], list[list[float]]] = {}
    for number in range(ROUNDS):
        for kind in CALLS:
            for mode in ("plain", "captured", *(("replaced",) if kind in REPLACED else ())):
                place = folder / f"{kind}-{mode}-{number}"
                place.mkdir()
                found.setdefault((kind, mode), []).append(_measure(place, kind, mode))
    table = Table(title="A log call of a script, in us", title_justify="left")
    for column in ("tracker", "mode", "median", "99 %", "of plain"):
        table.add_column(column, justify="left" if column in ("tracker", "mode") else "right")
    for (kind, mode), rounds in found.items():
        median, high = (statistics.median(column) for column in zip(*rounds, strict=True))
        plain = statistics.median(one[0] for one in found[kind, "plain"])
        table.add_row(kind, mode, f"{median:.1f}", f"{high:.0f}", f"{median / plain:.2f}")
    return table


def _measure(place: Path, kind: str, mode: str) -> list[float]:
    command = [sys.executable, str(place.parent / "program.py"), kind, str(CALLS[kind])]
    if mode != "plain":
        sdk = "tensorboard" if kind == "tensorboardX" else kind
        options = ["--replace", sdk] if mode == "replaced" else ["--only", sdk]
        program = str(Path(sys.executable).with_name("unitrack"))
        command = [program, "capture", "--sinks", "local", *options, "--", *command]
    environ = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "TRACKIO_DIR": str(place / "trackio")}
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("TIMES ")]
    times: list[float] = json.loads(line.removeprefix("TIMES "))
    return times
