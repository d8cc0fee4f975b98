"""What tests of sweeps share: other processes can import the functions of the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pytest` alone, other than `python -m pytest`, leaves the working directory out of the path."""
    monkeypatch.setattr(sys, "path", [*sys.path, REPOSITORY])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), REPOSITORY))))
