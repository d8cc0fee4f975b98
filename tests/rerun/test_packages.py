"""The packages of a run: what differs here, and the lines from which uv installs them."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.records_of_runs import record

from unitrack.environment.packages import installed_packages
from unitrack.environment.record import Environment, Package, Python
from unitrack.errors import ConfigError
from unitrack.rerun.packages import differing, requirements, source_folders


def with_package(repository: Path, **package: Any) -> Environment:
    """The record of a run with a single package."""
    return record(repository, packages=(Package(**{"name": "pkg", "version": "1.2"} | package),))


def test_the_current_environment_is_the_same(repository: Path) -> None:
    """As this process records it."""
    assert differing(record(repository, packages=installed_packages(seconds=5))) == []


def test_what_differs(repository: Path) -> None:
    """Another version, one that is missing, one that is only here, another Python."""
    packages = [one for one in installed_packages(seconds=5) if one.name not in ("msgspec", "pluggy")]
    packages += [Package(name="msgspec", version="0.1"), Package(name="gone", version="3")]
    environment = record(
        repository,
        packages=tuple(packages),
        python=Python(version="3.9.1 (main)", implementation="CPython", executable="", prefix=""),
    )
    assert sorted(differing(environment)) == [
        "1 package only here",
        f"Python 3.9.1 there, {sys.version.split()[0]} here",
        "gone 3 there, missing here",
        f"msgspec 0.1 there, {version('msgspec')} here",
    ]


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ({}, "pkg==1.2"),
        ({"url": "https://a.org/x.whl"}, "pkg @ https://a.org/x.whl"),
        ({"url": "https://a.org/r.git", "commit": "c" * 40}, f"pkg @ git+https://a.org/r.git@{'c' * 40}"),
        (
            {"url": "https://a.org/r.git", "commit": "c" * 40, "subdirectory": "lib"},
            f"pkg @ git+https://a.org/r.git@{'c' * 40}#subdirectory=lib",
        ),
        ({"url": "file:///gone/pkg.whl"}, "pkg==1.2"),
    ],
)
def test_lines(repository: Path, root: Path, package: dict[str, Any], line: str) -> None:
    """From an index, an address, a repository; a file that is gone is taken from the index."""
    assert requirements(with_package(repository, **package), root) == [line]


def test_editable_packages(repository: Path, root: Path) -> None:
    """Those of the repository come from the code of the run, not from the user's work tree."""
    own = with_package(repository, url=f"file://{repository}/lib", editable=True)
    (root / "top" / "lib" / "src").mkdir(parents=True)
    assert requirements(own, root / "top") == [f"-e file://{root}/top/lib"]
    assert source_folders(own, root / "top") == [f"{root}/top/lib/src", f"{root}/top/lib"]
    other = with_package(repository, url=f"file://{root}/other", editable=True)
    with pytest.raises(ConfigError, match=r"which is not here: use --env current"):
        requirements(other, root / "top")
    (root / "other").mkdir()
    assert requirements(other, root / "top") == [f"-e file://{root}/other"]
    assert source_folders(other, root / "top") == []


@pytest.mark.parametrize(
    "package",
    [
        {"name": "--editable"},
        {"version": "1\n--editable ../evil"},
        {"url": "https://a.org/x.whl\n-r other"},
        {"url": "https://a.org/r", "commit": "a b"},
    ],
)
def test_a_record_that_smuggles_options(repository: Path, root: Path, package: dict[str, Any]) -> None:
    """Nothing of it becomes a line or an option of its own."""
    with pytest.raises(ConfigError, match="names a package that can't be one"):
        requirements(with_package(repository, **package), root)
