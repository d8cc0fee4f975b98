"""Tables, so that MLflow's evaluation view shows them and `mlflow.load_table` reads them.

The file is in the form that both want ("columns" and "data"); what they look for is a tag that names it.
"""

from __future__ import annotations

import json

from unitrack_mlflow import limits

TYPES = ("table", "pr_curve", "embedding")
"""Artifacts whose files have this form."""
_REFUSED = frozenset("\"',:[]{}")
"""Characters that `MlflowClient.load_table` refuses in a path."""


def suits(path: str) -> bool:
    """Return whether MLflow takes the file at `path` for a table."""
    return path.endswith(".json") and _REFUSED.isdisjoint(path)


def paths(tag: str | None) -> list[str]:
    """The tables that a run's tag names."""
    try:
        return [str(entry["path"]) for entry in json.loads(tag or "[]") if entry["type"] == "table"]
    except (ValueError, KeyError, TypeError):
        return []


def with_path(tag: str | None, path: str) -> str:
    """The tag that names `path` too; the oldest go where there are more than it holds."""
    known = [*(known for known in paths(tag) if known != path), path]
    while len(text := json.dumps([{"path": known, "type": "table"} for known in known])) > limits.TAG_LENGTH:
        del known[0]
    return text
