"""The site: its navigation has every page, and its API page every public name."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import unitrack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def api_page() -> ModuleType:
    """The script that makes docs/reference/api.md."""
    spec = importlib.util.spec_from_file_location("api_page", ROOT / "docs" / "api_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_api_page_is_current(api_page: ModuleType) -> None:
    """Renew it with `python docs/api_page.py`."""
    assert api_page.PAGE.read_text(encoding="utf-8") == api_page.api_page()


@pytest.mark.parametrize("name", unitrack.__all__)
def test_each_public_name_is_on_the_api_page(name: str, api_page: ModuleType) -> None:
    """Rendered by its own directive, or as a link to the method of `Run` that it stands for."""
    page = api_page.PAGE.read_text(encoding="utf-8")
    assert f"\n::: unitrack.{name}\n" in page or f"| [`unitrack.{name}`][unitrack.Run.{name}] |" in page


def test_each_public_name_has_a_docstring(api_page: ModuleType) -> None:
    """Public methods of public classes as well."""
    assert api_page.undocumented() == []


def test_a_name_without_a_docstring_is_found(api_page: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself works."""
    monkeypatch.setattr(unitrack.Run.links, "__doc__", None)
    assert api_page.undocumented() == ["Run.links"]


def test_every_page_is_in_the_navigation() -> None:
    """Each once."""
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = sorted(page for page in _leaves(navigation) if (ROOT / "docs" / page).exists())
    assert listed == sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for below in node.values() if isinstance(node, dict) else node:
            yield from _leaves(below)
