"""A module is patched when it is imported, whether that was before or comes later."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from unitrack.capture.import_hook import ImportHook


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "hooked_sdk").mkdir()
    (tmp_path / "hooked_sdk" / "__init__.py").write_text("from hooked_sdk import inner\n")
    (tmp_path / "hooked_sdk" / "inner.py").write_text("value = 1\nimport sys\nspec = __spec__\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("hooked_sdk")]:
        del sys.modules[name]


@pytest.fixture
def seen() -> list[ModuleType]:
    return []


@pytest.fixture
def hook(seen: list[ModuleType]) -> Iterator[ImportHook]:
    hook = ImportHook({"hooked_sdk.inner": seen.append}, {"hooked_absent": "unitrack.names"})
    yield hook
    hook.remove()


def test_a_later_import(package: None, hook: ImportHook, seen: list[ModuleType]) -> None:
    hook.install()
    assert seen == []
    module = importlib.import_module("hooked_sdk").inner
    assert seen == [module]
    assert module.value == 1
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"  # as without the hook
    importlib.import_module("hooked_sdk.inner")
    assert len(seen) == 1


def test_an_earlier_import(package: None, hook: ImportHook, seen: list[ModuleType]) -> None:
    module = importlib.import_module("hooked_sdk.inner")
    hook.install()
    assert seen == [module]


def test_a_module_that_is_not_there_stays_so(hook: ImportHook) -> None:
    hook.install()
    with pytest.raises(ModuleNotFoundError, match="hooked_sdk"):
        importlib.import_module("hooked_sdk.inner")


def test_another_module_in_its_place(hook: ImportHook) -> None:
    hook.install()
    try:
        found = importlib.import_module("hooked_absent")
        import unitrack.names

        assert found is unitrack.names
        assert found.__name__ == "unitrack.names"
        assert found.__spec__ is not None and found.__spec__.name == "unitrack.names"
    finally:
        sys.modules.pop("hooked_absent", None)
