"""`import unitrack` imports this package: it must cost next to nothing."""

from __future__ import annotations

from pathlib import Path

from unitrack_tests.children import run_child

PROGRAM = """
import sys, msgspec, pluggy
import unitrack.config
lazy = {"yaml", "tomllib", "rich", "typer", "unitrack.config.descriptions"}
print(sorted(lazy & sys.modules.keys()))
unitrack.config.resolve(call={"experiment": {"name": "n"}, "tracking": {"sinks": ["local"]}}, environ={})
print(sorted(lazy & sys.modules.keys()))
"""


def test_readers_are_imported_only_for_a_file(folder: Path) -> None:
    result = run_child("-c", PROGRAM, cwd=folder)
    assert result.stdout.split("\n")[:2] == ["[]", "[]"], result.stderr
