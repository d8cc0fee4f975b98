"""Names in the code: a reader guesses from a name what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "unitrack"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_no_public_function_bears_the_name_of_a_module_beside_it(file: Path) -> None:
    """`from unitrack.config import resolve` would be one or the other, as imports happen to come."""
    modules = {path.stem for path in file.parent.glob("*.py")} | {
        path.parent.name for path in file.parent.glob("*/*.py")
    }
    functions = {
        node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    }
    assert not {name for name in functions & modules if not name.startswith("_")}
