"""What a shell offers, asked for as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import unitrack
from unitrack import Run

SDKS = ("mlflow", "wandb", "tensorboard", "trackio", "sqlalchemy", "numpy")
PROGRAM = f"""
import sys
from unitrack.cli import main
sys.argv = ["unitrack"]
try:
    main()
finally:
    print(sorted(set({SDKS!r}) & sys.modules.keys()), file=sys.stderr)
"""


def complete(line: str) -> list[str]:
    """The answers of the program to a shell in which the cursor is at the end of `line`."""
    words = line.split(" ")
    asked = {"_UNITRACK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | asked, capture_output=True, text=True)
    assert done.stderr == "[]\n", "it is quiet, and imports no SDK"
    return done.stdout.split()


@pytest.mark.parametrize("command", ["show", "status", "sync"])
def test_runs_by_folder_and_by_id(complete_run: Run, command: str) -> None:
    with unitrack.start_run("other", run_id="zebra", sinks=["local"], delivery="inline"):
        pass
    assert complete(f"unitrack {command} ") == ["done", "other", "done-1", "zebra"]
    assert complete(f"unitrack {command} do") == ["done", "done-1"]


@pytest.mark.parametrize("command", ["doctor", "sync --to"])
def test_sinks_are_those_configured_and_the_backends(root: Path, command: str) -> None:
    (root / "unitrack.yaml").write_text("tracking: {sinks: [{local: {name: loud}}]}", encoding="utf-8")
    assert complete(f"unitrack {command} lo") == ["loud", "local"]


@pytest.mark.parametrize("command", ["runs", "show x --from"])
def test_locations_are_backends_and_places_of_runs(complete_run: Run, command: str) -> None:
    assert complete(f"unitrack {command} loc") == ["local:", f"local:{complete_run.path.parent}"]


def test_what_cannot_be_read_is_not_offered(complete_run: Run, root: Path) -> None:
    (root / "experiments" / "broken" / ".unitrack").mkdir(parents=True)
    (root / "experiments" / "broken" / ".unitrack" / "run.json").write_text("{", encoding="utf-8")
    assert complete("unitrack show d") == ["done", "done-1"]
    (root / "unitrack.yaml").write_text("tracking: [", encoding="utf-8")
    assert complete("unitrack show d") == []
