"""The plugin module, its options and what `unitrack doctor` says."""

from __future__ import annotations

import importlib.metadata
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pluggy
import pytest
from stand_in_server import API_KEY, StandInServer

import unitrack
import unitrack_wandb
from unitrack.errors import ConfigError
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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_lands_where_wandbs_own_variables_say(
    server: StandInServer, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    variables = {
        "BASE_URL": server.url, "API_KEY": API_KEY, "ENTITY": "team", "PROJECT": "theirs", "RUN_GROUP": "fold 1",
        "JOB_TYPE": "train", "TAGS": "mlp,baseline", "NAME": "named", "NOTES": "why",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    with unitrack.start_run(sinks="wandb", delivery="thread") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    found = server.runs[run.id]
    assert run.links()["wandb"].location == f"team/theirs/{run.id}"
    assert [row["loss"] for row in found.history] == [0.5]
    assert set(found.attributes["tags"]) == {"mlp", "baseline"}
    named = ("displayName", "notes", "groupName", "jobType")
    assert [found.attributes[key] for key in named] == ["named", "why", "fold 1", "train"]


@pytest.mark.parametrize("mode", ["offline", "dryrun"])
def test_a_mode_by_variable(monkeypatch: pytest.MonkeyPatch, folder: Path, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_DIR", "scratch")
    with unitrack.start_run(sinks="wandb", delivery="thread") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert list((folder / "scratch" / "wandb").glob("offline-run-*"))


def test_disabled_leaves_wandb_out_of_the_run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with unitrack.start_run(sinks=["local", "wandb"], delivery="thread") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert list(run.finish().sinks) == ["local"]


def test_an_address_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "wandb.example")
    with pytest.raises(ConfigError, match=r"^environment WANDB_BASE_URL: sink 'wandb', base_url 'wandb.example' is no"):
        unitrack.start_run(sinks="wandb")


def findings(**options: Any) -> list[tuple[bool, str, str]]:
    return [(found.ok, found.subject, found.message) for found in check(WandbOptions(**options))]


def test_doctor_offline(tmp_path: Path) -> None:
    assert [found[:2] for found in findings(mode="offline", dir=str(tmp_path))] == [(True, "package"), (True, "folder")]
    (tmp_path / "file").write_text("")
    ok, subject, message = findings(mode="offline", dir=str(tmp_path / "file"))[-1]
    assert (ok, subject) == (False, "folder")
    assert "set dir" in message


def test_doctor_online(server: StandInServer, online: dict[str, Any]) -> None:
    assert [found[:2] for found in findings(**online)][-2:] == [(True, "server"), (True, "credentials")]
    ok, subject, message = findings(**online | {"api_key": None})[-1]
    assert (ok, subject) == (False, "credentials")
    assert "WANDB_API_KEY" in message


@pytest.mark.parametrize("status", [401, 403])
def test_doctor_tells_of_a_key_that_is_refused(server: StandInServer, online: dict[str, Any], status: int) -> None:
    """The server is well."""
    server.graphql_status = status
    [reached, key] = findings(**online)[-2:]
    assert reached == (True, "server", f"{server.url} answers")
    assert key[:2] == (False, "credentials")
    assert {401: "the API key was refused: run `wandb login`", 403: "the API key may not write there"}[status] in key[2]
    assert "network" not in key[2]


def test_doctor_tells_of_a_network_that_does_not_answer(online: dict[str, Any]) -> None:
    """Nothing is said against the key: it was not looked at."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for url, words in (
            ("http://127.0.0.1:9", "refuses connections"),
            (silent_url, "did not answer in time"),
            ("http://no-such-host.invalid", "has a host name that can't be resolved"),
        ):
            ok, subject, message = findings(**online | {"base_url": url, "init_timeout": 1})[-1]
            assert (ok, subject) == (False, "server")
            assert message == f"{url} {words}: check the network, a proxy, and base_url; the API key was not looked at"


def test_doctor_tells_of_a_server_that_is_ill(server: StandInServer, online: dict[str, Any]) -> None:
    server.graphql_status = 500
    ok, subject, message = findings(**online | {"init_timeout": 1})[-1]
    assert (ok, subject) == (False, "server")
    assert f"{server.url} answers, but not about the API key" in message
