"""Backends that can only be read, in the commands that are about plugins and sinks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from unitrack.errors import ConfigError

Invoke = Callable[..., Result]
_WHY = "'journal' can only be read, so it is no sink: remove it from the sinks, or log to one of local"


def test_commands_say_why(invoke: Invoke, root: Path) -> None:
    with pytest.raises(ConfigError, match=_WHY):
        invoke("sync", "--to", "journal")
    checked = json.loads(invoke("doctor", "journal", "--json").stdout)
    assert [one["message"].startswith(_WHY) for one in checked if one["sink"] == "journal"] == [True]


def test_plugins_tells_that_it_is_read_only(invoke: Invoke) -> None:
    rows = {row["name"]: row for row in json.loads(invoke("plugins", "--json").stdout)["plugins"]}
    assert (rows["journal"]["backends"], rows["journal"]["only_read"]) == (["journal"], ["journal"])
    assert rows["local"]["only_read"] == []
    [line] = [line for line in invoke("plugins").stdout.splitlines() if line.startswith("journal ")]
    assert "journal (read only)" in line


def test_the_schema_of_the_file_knows_no_such_sink(invoke: Invoke) -> None:
    """Its `description`s may."""
    text = invoke("config", "schema").stdout
    assert '"local"' in text
    assert '"journal"' not in text
