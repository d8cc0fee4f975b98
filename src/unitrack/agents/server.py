"""The server of the tools, over standard input and output. Only here is the SDK of the protocol imported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import unitrack
from unitrack.agents import tools
from unitrack.errors import MissingPackageError, UnitrackError
from unitrack.system.installation import install_command

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

Tool = Callable[..., dict[str, Any]]

TOOLS: dict[str, Tool] = {
    "runs": tools.list_runs,
    "history": tools.read_history,
    "compare": tools.compare_runs,
    "verify": tools.verify_run,
}

_INSTRUCTIONS = (
    "Experiment runs, wherever they lie: local folders, MLflow, Weights & Biases, TensorBoard, trackio. All tools only "
    "read. Times are milliseconds since the epoch. Start with `runs`."
)


def make_server() -> MCPServer[Any]:
    """Return the server with its tools. Raises `MissingPackageError` without the SDK."""
    try:
        from mcp.server.mcpserver import MCPServer  # noqa: PLC0415  # an extra
        from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415  # beside it
        from mcp.types import ToolAnnotations  # noqa: PLC0415  # beside it
    except ImportError as error:
        raise MissingPackageError(
            f"`unitrack mcp` needs the package mcp, version 2: run `{install_command('unitrack-core[mcp]')}`"
        ) from error
    server: MCPServer[Any] = MCPServer("unitrack", instructions=_INSTRUCTIONS, version=unitrack.__version__)
    for name, tool in TOOLS.items():
        server.tool(name, annotations=ToolAnnotations(read_only_hint=True))(_explained(tool, ToolError))
    return server


def _explained(tool: Tool, error_of_tools: type[Exception]) -> Tool:
    """Return a tool whose errors reach the agent in words: the SDK shows those of its own kind alone."""

    @functools.wraps(tool)
    def call(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return tool(*args, **kwargs)
        except UnitrackError as error:
            raise error_of_tools(str(error)) from error

    return call
