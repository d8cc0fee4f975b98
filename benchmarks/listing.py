"""Listing and filtering local runs: `python -m benchmarks.listing [RUNS]`, by default 1,000."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

QUERY = "params.p7 < 500 and metrics.m3.min < 0.9 and status == 'finished'"
PARAMS, METRICS, STEPS = 50, 20, 10


def write_local_runs(root: Path, count: int) -> None:
    """Write runs in the layout of the local backend, all of an hour ago."""
    began = int(time.time() * 1000) - 3_600_000
    for number in range(count):
        folder = root / f"run-{number:06}"
        folder.mkdir(parents=True)
        metadata = {
            "run_id": f"{number:032x}",
            "run_name": folder.name,
            "project": "listing",
            "start_time_ms": began + number,
            "end_time_ms": began + number + 1000,
            "status": "finished",
        }
        (folder / "metadata.json").write_text(json.dumps(metadata))
        (folder / "params.json").write_text(json.dumps({f"p{one}": number * one / PARAMS for one in range(PARAMS)}))
        lines = (
            {
                "step": step,
                "metrics": {f"m{one}": 1 / (step + one + 1) for one in range(METRICS)},
                "time": began,
                "seq": 1,
            }
            for step in range(STEPS)
        )
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def list_local_runs(root: Path) -> float:
    """Return the seconds that listing and filtering takes."""
    import unitrack

    began = time.perf_counter()
    found = unitrack.runs(root, filter=QUERY)
    assert len(found) > 0
    return time.perf_counter() - began


def main() -> None:
    """Print the times without and with the index."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_local_runs(root, count)
        time.sleep(2.5)  # the index leaves out files that were written just now
        import unitrack.reading  # noqa: F401

        print(f"{count} runs, cold:       {list_local_runs(root):.3f} s")
        print(f"{count} runs, with index: {min(list_local_runs(root) for _ in range(3)):.3f} s")


if __name__ == "__main__":
    main()
