"""`unitrack mcp`, asked by the client of the protocol's own SDK."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from unitrack import MissingPackageError, start_run
from unitrack.agents import server

NAMES = ["compare", "history", "runs", "verify"]


@pytest.fixture(autouse=True)
def one_run(root: Path) -> None:
    with start_run("r", run_id="r-1", sinks=["local"], delivery="inline", params={"lr": 0.1}) as run:
        run.log_metrics({"loss": 0.5}, step=3)


async def ask(target: Any) -> list[Any]:
    from mcp import Client

    async with Client(target) as client:
        tools = (await client.list_tools()).tools
        assert sorted(tool.name for tool in tools) == NAMES
        assert all(tool.annotations and tool.annotations.read_only_hint and tool.description for tool in tools)
        return [
            await client.call_tool("runs", {"filter": "params.lr < 1"}),
            await client.call_tool("history", {"run": "r-1", "metrics": ["loss"]}),
            await client.call_tool("history", {"run": "r-1", "metrics": ["lss"]}),
        ]


def check(answers: list[Any]) -> None:
    listed, history, failed = answers
    assert [run["name"] for run in listed.structured_content["runs"]] == ["r"]
    assert history.structured_content["metrics"]["loss"]["points"][0][:2] == [3, 0.5]
    assert failed.is_error
    assert "did you mean 'loss'" in failed.content[0].text


def test_the_tools_in_this_process() -> None:
    pytest.importorskip("mcp.server.mcpserver")
    check(asyncio.run(ask(server.make_server())))


def test_the_program_over_its_standard_streams(root: Path) -> None:
    pytest.importorskip("mcp.server.mcpserver")
    from mcp import StdioServerParameters

    program = str(Path(sys.executable).with_name("unitrack"))
    check(asyncio.run(ask(StdioServerParameters(command=program, args=["mcp"], cwd=str(root)))))


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    with pytest.raises(MissingPackageError, match="needs the package mcp, version 2: run"):
        server.make_server()
