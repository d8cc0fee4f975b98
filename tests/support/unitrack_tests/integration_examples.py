"""The examples of integrations: run in this process, and recorded."""

from __future__ import annotations

import runpy
from pathlib import Path

from unitrack.testing import recorded
from unitrack.testing.recording import Recording

FOLDER = Path(__file__).parents[3] / "examples" / "integrations"


def run_example(name: str) -> list[Recording]:
    """Run an example as a program, and return its runs in the order in which they started."""
    with recorded() as runs:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return list(runs)
