"""What training does not need, training does not import: not with unitrack, and not with a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from unitrack_tests.children import run_child

import unitrack

PROGRAM = """
import sys
import unitrack
of_import = {"contextvars", "queue", "shutil", "json", "subprocess", "unitrack.run.tracker", "unitrack.run.disabled",
             "unitrack.config.experiment", "unitrack.delivery.lane.lane", "unitrack.local"}
of_start = {"psutil", "queue", "rich", "difflib", "unitrack.run.tracker", "unitrack.delivery.lane.lane",
            "unitrack.delivery.system_metrics", "unitrack.run.device_reader"}
print(sorted(of_import & sys.modules.keys()))
run = unitrack.start_run("a", sinks=["local"])
print(sorted(of_start & sys.modules.keys()))
run.finish()
"""


def test_a_run_imports_only_what_it_needs(root: Path) -> None:
    """`/proc` tells what psutil would, and couriers do the rest."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("without /proc it takes psutil")
    result = run_child("-c", PROGRAM, cwd=root)
    assert result.stdout.split("\n")[:2] == ["[]", "[]"], result.stderr


@pytest.mark.parametrize("name", unitrack.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Those that are imported when they are asked for as well, and `dir()` tells of them."""
    assert getattr(unitrack, name) is not None
    assert name in dir(unitrack)


def test_other_names_are_errors() -> None:
    """As ever."""
    with pytest.raises(AttributeError, match="module 'unitrack' has no attribute 'nothing'"):
        _ = unitrack.nothing


def test_windows_is_refused_in_one_sentence(root: Path) -> None:
    """Not by a missing module of which nobody has heard."""
    code = (
        "import sys; sys.platform = 'win32'; sys.modules['fcntl'] = None\n"
        "try: import unitrack\n"
        "except ImportError as error: print(error)\n"
    )
    done = run_child("-c", code, cwd=root)
    assert done.stdout == "unitrack runs on Linux and macOS, not on Windows: use it inside WSL (`wsl --install`)\n"
