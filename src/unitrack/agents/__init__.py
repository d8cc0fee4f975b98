"""Runs for agents: read-only tools over the Model Context Protocol, `unitrack mcp`."""

from __future__ import annotations
