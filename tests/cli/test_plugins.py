"""`unitrack plugins`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

import unitrack
from unitrack.plugins.registry import OFFICIAL
from unitrack.system.installation import install_command

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A place with three plugins: one that works, one that raises on import, one whose package is missing."""
    modules = {
        "good_one": "summary='works'",
        "bad_one": "summary=1 / 0",
        "lacking_one": "summary='lacks', requires=('no_such_package',), install='no-such-distribution'",
    }
    for name, arguments in modules.items():
        (tmp_path / f"{name}.py").write_text(
            "from unitrack.hookspecs import Backend, hookimpl\n"
            f"BACKEND = Backend(name='{name}', sink='x:Y', {arguments})\n"
            "@hookimpl\ndef register_backends():\n    return [BACKEND]\n",
            encoding="utf-8",
        )
        info = tmp_path / f"{name}-3.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[unitrack]\n{name} = {name}\n", encoding="utf-8")
    return tmp_path


def test_json_tells_of_each_plugin(call_program: Program, site: Path) -> None:
    """One that fails disables only itself."""
    result = call_program("plugins", "--json", path=site)
    assert (result.returncode, result.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(result.stdout)["plugins"]}
    assert (rows["local"]["ok"], rows["local"]["version"]) == (True, unitrack.__version__)
    good, bad, lacking = rows["good_one"], rows["bad_one"], rows["lacking_one"]
    assert (good["ok"], good["version"], good["backends"], good["summary"]) == (True, "3.2", ["good_one"], "works")
    assert (bad["ok"], bad["backends"], bad["problem"]) == (False, [], "ZeroDivisionError: division by zero")
    assert not lacking["ok"]
    assert "pip install no-such-distribution" in lacking["problem"]


def test_text_names_the_reason(call_program: Program, site: Path) -> None:
    lines = call_program("plugins", path=site).stdout.splitlines()
    [bad] = [line for line in lines if line.startswith("bad_one")]
    assert "disabled: ZeroDivisionError: division by zero" in bad


def test_official_plugins_are_installed_or_have_a_command(invoke: Callable[..., Result]) -> None:
    shown = json.loads(invoke("plugins", "--json").stdout)
    versions = {row["name"]: row["version"] for row in shown["plugins"]}
    for name in ("mlflow", "wandb", "tensorboard", "sql"):
        if importlib.util.find_spec(f"unitrack_{name}") is None:
            assert shown["not_installed"][name] == install_command(OFFICIAL[name])
        else:
            assert name not in shown["not_installed"]
            assert versions[name] == version(f"unitrack-{name}")
