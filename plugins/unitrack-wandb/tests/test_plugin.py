"""The plugin module, its options and what `unitrack doctor` says."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pluggy
import pytest
from stand_in_server import StandInServer

import unitrack_wandb
from unitrack.hookspecs import PluginSpec
from unitrack_wandb import WandbOptions
from unitrack_wandb.check import check


def test_importing_the_plugin_imports_no_sdk() -> None:
    code = "import sys, unitrack_wandb; list(unitrack_wandb.register_backends()); sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_the_entry_point_and_every_name_in_the_backend_resolve() -> None:
    [entry] = [point for point in importlib.metadata.entry_points(group="unitrack") if point.name == "wandb"]
    assert entry.load() is unitrack_wandb
    manager = pluggy.PluginManager("unitrack")
    manager.add_hookspecs(PluginSpec)
    manager.register(unitrack_wandb)
    manager.check_pending()
    [[backend]] = manager.hook.register_backends()
    for path in (backend.sink, backend.source, backend.check):
        module, name = path.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_options_are_checked() -> None:
    with pytest.raises(msgspec.ValidationError, match="mode"):
        msgspec.convert({"mode": "sometimes"}, WandbOptions)
    with pytest.raises(msgspec.ValidationError, match="finish_timeout"):
        msgspec.convert({"finish_timeout": 0}, WandbOptions)
    with pytest.raises(msgspec.ValidationError, match="modes"):
        msgspec.convert({"modes": "online"}, WandbOptions)


def test_a_relative_folder_is_anchored(tmp_path: Path) -> None:
    assert WandbOptions(dir="runs").anchored(tmp_path).dir == str(tmp_path / "runs")
    assert WandbOptions(dir="/runs").anchored(tmp_path).dir == "/runs"
    assert WandbOptions().anchored(tmp_path).dir is None


def findings(**options: Any) -> list[tuple[bool, str, str]]:
    return [(found.ok, found.subject, found.message) for found in check(WandbOptions(**options))]


def test_doctor_offline(tmp_path: Path) -> None:
    assert [found[:2] for found in findings(mode="offline", dir=str(tmp_path))] == [(True, "package"), (True, "folder")]
    (tmp_path / "file").write_text("")
    ok, subject, message = findings(mode="offline", dir=str(tmp_path / "file"))[-1]
    assert (ok, subject) == (False, "folder")
    assert "set dir" in message


def test_doctor_online(server: StandInServer, online: dict[str, Any]) -> None:
    assert findings(**online)[-1][:2] == (True, "server")
    server.graphql_status = 401
    ok, _, message = findings(**online)[-1]
    assert not ok
    assert "wandb login" in message
    ok, subject, message = findings(**online | {"api_key": None})[-1]
    assert (ok, subject) == (False, "credentials")
    assert "WANDB_API_KEY" in message
    ok, subject, message = findings(**online | {"base_url": "http://127.0.0.1:9", "init_timeout": 1})[-1]
    assert (ok, subject) == (False, "server")
    assert "base_url" in message
