"""Environments that uv makes from what a run has recorded."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace
from unitrack_tests.records_of_runs import record

import unitrack
from unitrack.environment.record import Environment, Package, Python
from unitrack.errors import ConfigError
from unitrack.rerun.interpreter import find_python, find_uv, make_environment
from unitrack.rerun.plan import Wishes, make_plan

pytestmark = pytest.mark.skipif(
    shutil.which("uv") is None and not Path(sys.executable).with_name("uv").exists(), reason="uv is not installed"
)


@pytest.fixture
def recorded(root: Path, repository: Path) -> Environment:
    """The record of a run that had one package, from a wheel on this machine, and this Python."""
    wheel = root / "tiny-1.5-py3-none-any.whl"
    info = "tiny-1.5.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "VERSION = '1.5'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.5\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return record(repository, packages=(Package(name="tiny", version="1.5", url=wheel.as_uri()),))


def python_of(number: str) -> Python:
    return Python(version=f"{number} (main)", implementation="CPython", executable="/not/here/python", prefix="")


def version_of_tiny(python: Path) -> str:
    command = [str(python), "-c", "import tiny; print(tiny.VERSION)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_recorded_packages(root: Path, recorded: Environment) -> None:
    """In an environment of their own, with the recorded interpreter."""
    uv = find_uv()
    python, note = find_python(recorded, uv)
    assert (python, note) == (sys.executable, "")
    made = make_environment(recorded, root, root / "project", python=python, uv=uv, lock=None)
    assert version_of_tiny(made) == "1.5"


def test_a_lock_file_of_the_code(root: Path, recorded: Environment) -> None:
    """In the form of PEP 751, as uv and pip write it."""
    wheel = root / "tiny-1.5-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / "project" / "pylock.toml").write_text(
        "lock-version = '1.0'\ncreated-by = 'test'\n[[packages]]\nname = 'tiny'\nversion = '1.5'\n"
        f"archive = {{ path = '{wheel}', hashes = {{ sha256 = '{digest}' }} }}\n"
    )
    bare = replace(recorded, packages=())
    made = make_environment(bare, root, root / "project", python=sys.executable, uv=find_uv(), lock="pylock.toml")
    assert version_of_tiny(made) == "1.5"


def test_what_uv_said(root: Path, recorded: Environment) -> None:
    """An error of unitrack's, which names the way out."""
    (root / "tiny-1.5-py3-none-any.whl").write_text("no wheel")
    with pytest.raises(ConfigError, match=r"(?s)uv pip failed: .*Nothing was run.*--env current"):
        make_environment(recorded, root, root / "project", python=sys.executable, uv=find_uv(), lock=None)


def test_a_python_that_is_not_here(recorded: Environment) -> None:
    """One of the same minor version is taken, and it is said; without any it is an error."""
    here = sys.version.split()[0]
    minor = ".".join(here.split(".")[:2])
    python, note = find_python(replace(recorded, python=python_of(f"{minor}.99")), find_uv())
    assert Path(python).exists()
    assert note.startswith(f"Python {minor}.99 is not here: {minor}.")
    with pytest.raises(ConfigError, match=r"no Python 3\.1 here, and the run had 3\.1\.5"):
        find_python(replace(recorded, python=python_of("3.1.5")), find_uv())


def test_the_plan_says_which(root: Path, recorded: Environment, repository: Path) -> None:
    """The current environment does not have the package, so a new one is made; unless the current one is wanted."""
    with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline"):
        pass
    [run] = unitrack.runs(root)
    plan = make_plan(run, recorded, Wishes(root=root), root)
    assert plan.packages.startswith(f"1 as recorded, in a new environment of {sys.executable} (tiny 1.5 there")
    plan = make_plan(run, recorded, Wishes(root=root, environment="current"), root)
    assert plan.packages.startswith("those of the current environment, which differ: tiny 1.5 there, missing here")
    with pytest.raises(ConfigError, match="names no packages"):
        make_plan(run, replace(recorded, packages=()), Wishes(root=root), root)
