"""All benchmarks in one process run: ours, the peers, the physical floor. `python benchmarks/run.py [name ...]`.

Machines are noisy, so rounds of all candidates are interleaved, and what counts is the ratio of medians.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import bad_backends
import capture
import copying
import delivery
import environment
import flaky
import integrations
import log_call
import mlflow_delivery
import reading
import scale
import sql
import startup
import storage
import sweeps
import training
from rich.console import Console

BENCHMARKS = {
    "log_call": log_call.run,
    "startup": startup.run,
    "capture": capture.run,
    "delivery": delivery.run,
    "mlflow_delivery": mlflow_delivery.run,
    "copying": copying.run,
    "environment": environment.run,
    "reading": reading.run,
    "sql": sql.run,
    "bad_backends": bad_backends.run,
    "flaky": flaky.run,
    "storage": storage.run,
    "training": training.run,
    "sweeps": sweeps.run,
    "scale": scale.run,
    "integrations": integrations.run,
}


def main() -> None:
    """Run those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHMARKS), choices=[[], *BENCHMARKS])
    warnings.simplefilter("ignore")
    console = Console()
    for name in parser.parse_args().names:
        with tempfile.TemporaryDirectory(prefix="unitrack-bench-") as folder:
            console.print(BENCHMARKS[name](Path(folder)))


if __name__ == "__main__":
    main()
