"""Backends that can only be read: no run is logged to them, and everything that lists sinks leaves them out."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitrack
from unitrack.errors import ConfigError
from unitrack.hookspecs import Backend
from unitrack.plugins import registry
from unitrack.plugins.registry import installed, with_backend
from unitrack.testing.kinds import kinds_table

WHY = "'journal' can only be read, so it is no sink: remove it from the sinks, or log to one of local"


def test_a_run_is_not_logged_to_it(root: Path) -> None:
    """Whatever names it; a file of configuration is named as well."""
    with pytest.raises(ConfigError, match=WHY):
        unitrack.start_run(sinks=["local", "journal"])
    Path("unitrack.yaml").write_text("tracking:\n  sinks: [journal]\n")
    with pytest.raises(ConfigError, match=rf"unitrack\.yaml.*{WHY}"):
        unitrack.start_run()
    assert not Path("experiments").exists()


def test_no_list_of_sinks_has_it() -> None:
    """Neither the words of an error nor the table of kinds."""
    with pytest.raises(ConfigError) as unknown:
        installed().backend("quux")
    assert "local" in str(unknown.value)
    assert "journal" not in str(unknown.value)
    assert "journal" not in kinds_table(installed().backends)


def test_a_plugin_of_a_source_alone_is_served() -> None:
    """It needs a name, a summary and a source."""
    source = Backend(name="museum", summary="old runs", source="unitrack.local.source:LocalSource")
    with with_backend(source) as plugins, pytest.raises(ConfigError, match="'museum' can only be read"):
        plugins.sink_backend("museum")


def test_without_duckdb_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package 'duckdb'.*pip install .*\[sql\]"):
        unitrack.runs("neptune-export:exports")
