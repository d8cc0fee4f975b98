"""The pages of the documentation, and a way to install a module as a plugin for the length of a test."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unitrack.delivery.courier.pool import pool
from unitrack.environment.seeds import latest
from unitrack.plugins.registry import GROUP, installed

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]

InstallPlugin = Callable[[Path, str], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a `document` runs once for each."""
    if "document" in metafunc.fixturenames:
        names = [path.relative_to(REPOSITORY).as_posix() for path in DOCUMENTS]
        metafunc.parametrize("document", DOCUMENTS, ids=names)


@pytest.fixture(autouse=True)
def own_couriers() -> Iterator[None]:
    """A document is one program: it leaves no courier, with its folder and its modules, to the next one."""
    yield
    pool.let_go()


@pytest.fixture(autouse=True)
def own_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that seeds this process leaves no seed for the runs of the next one."""
    monkeypatch.setattr(latest, "seeds", None)
    if "PYTHONHASHSEED" in os.environ:
        monkeypatch.setenv("PYTHONHASHSEED", os.environ["PYTHONHASHSEED"])
    else:
        monkeypatch.delenv("PYTHONHASHSEED", raising=False)


@pytest.fixture(autouse=True)
def own_capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A document that captures does not capture the next one."""
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    yield
    module = sys.modules.get("unitrack.capture.starting")
    if module is not None:
        module.stop_capture()


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPlugin]:
    """Gives a function that installs what is in a folder: the plugins that the text of a pyproject.toml names."""
    modules_before = set(sys.modules)

    def install(folder: Path, pyproject: str) -> None:
        plugins = tomllib.loads(pyproject)["project"]["entry-points"][GROUP]
        info = tmp_path / f"site-{folder.name}" / f"{next(iter(plugins))}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {next(iter(plugins))}\nVersion: 1.0\n")
        lines = [f"{name} = {module}" for name, module in plugins.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
        monkeypatch.syspath_prepend(str(info.parent))
        monkeypatch.syspath_prepend(str(folder))
        installed.cache_clear()

    yield install
    for name in set(sys.modules) - modules_before:
        if name.startswith("unitrack_"):  # two documents may define a module of one name
            del sys.modules[name]
    installed.cache_clear()
