"""docs/reference/cli.md."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from unitrack.cli import app

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_each_command_has_its_section_and_each_section_its_command() -> None:
    headings = re.findall(r"^## `unitrack ([a-z]+)`$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    commands = typer.main.get_command(app).list_commands(None)  # type: ignore[attr-defined]
    assert sorted(headings) == sorted(commands)
