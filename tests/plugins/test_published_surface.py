"""What plugins and examples may import of the core. `lint-imports` holds the official plugins to the same list."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLISHED = {
    "unitrack",
    "unitrack.errors",
    "unitrack.hookspecs",
    "unitrack.names",
    "unitrack.records",
    "unitrack.sweeps",
}
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {module for module in found if module.partition(".")[0] == "unitrack"}


def is_published(module: str) -> bool:
    return module in PUBLISHED or module.startswith(("unitrack.testing", "unitrack.integrations.", "unitrack.capture."))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_example_imports_published_modules_only(file: Path) -> None:
    assert {module for module in imported(file) if not is_published(module)} == set()


def test_there_are_examples() -> None:
    assert EXAMPLES
