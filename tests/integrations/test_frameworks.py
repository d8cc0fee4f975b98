"""The list of frameworks: its table, and the error for one that is missing."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from unitrack.integrations.frameworks import FRAMEWORKS, with_table

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "src" / "unitrack" / "integrations").glob("*.py"))
EXAMPLES = sorted((ROOT / "examples" / "integrations").glob("*.py"))
SHARED = {"__init__", "attached_run", "frameworks"}


def test_the_table_is_current() -> None:
    """Renew it with `python -m unitrack.integrations.frameworks docs/how-to/integrations.md`."""
    page = (ROOT / "docs" / "how-to" / "integrations.md").read_text(encoding="utf-8")
    assert page == with_table(page)


def test_each_integration_is_listed_and_tested() -> None:
    assert set(MODULES) - SHARED == set(FRAMEWORKS)
    environments = (ROOT / "tox.ini").read_text(encoding="utf-8")
    for module in FRAMEWORKS:
        assert (ROOT / "tests" / "integrations" / f"test_{module}.py").exists()
        assert module in environments


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_the_page_shows_each_example(example: Path) -> None:
    """As it is, but for its docstring, which is the first line."""
    _, docstring, code = example.read_text(encoding="utf-8").split('"""', 2)
    assert len(docstring.splitlines()) == 1
    page = (ROOT / "docs" / "how-to" / "integrations.md").read_text(encoding="utf-8")
    assert f"\n{code.lstrip()}```" in page


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fastai uses what torch calls deprecated
@pytest.mark.parametrize("module", FRAMEWORKS)
def test_each_name_is_there(module: str) -> None:
    pytest.importorskip(module, reason=f"{module} is not in each environment")
    integration = importlib.import_module(f"unitrack.integrations.{module}")
    for name in FRAMEWORKS[module].names:
        assert getattr(integration, name).__doc__


def test_a_missing_framework_names_the_install_command() -> None:
    """Each, in a Python that has no packages but ours."""
    program = f"""
import importlib, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name in {list(FRAMEWORKS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Nothing())
for module in {list(FRAMEWORKS)!r}:
    try:
        importlib.import_module(f"unitrack.integrations.{{module}}")
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert [
        framework.install in line for framework, line in zip(FRAMEWORKS.values(), done.stdout.splitlines(), strict=True)
    ] == [True] * len(FRAMEWORKS), done
