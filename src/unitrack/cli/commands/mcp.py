"""`unitrack mcp`: a server of the Model Context Protocol."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(serve_mcp)


def serve_mcp() -> None:
    """Serve read-only tools for agents over standard input and output: runs, history, compare, verify.

    It needs the extra `mcp`, and ends with its input.
    """
    from unitrack.agents.server import make_server

    make_server().run("stdio")
