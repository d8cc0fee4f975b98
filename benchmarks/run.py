"""All benchmarks in one process run: ours, the peers, the physical floor. `python benchmarks/run.py [name ...]`.

Machines are noisy, so rounds of all candidates are interleaved, and what counts is the ratio of medians.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import bad_backends
import delivery
import flaky
import log_call
import startup
import training
from rich.console import Console

BENCHMARKS = {
    "log_call": log_call.run,
    "startup": startup.run,
    "delivery": delivery.run,
    "bad_backends": bad_backends.run,
    "flaky": flaky.run,
    "training": training.run,
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
