"""The registry of backends: one more of them for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitrack
from unitrack.hookspecs import Backend
from unitrack.plugins.registry import installed, with_backend
from unitrack.testing.recording import BACKEND


def test_a_backend_is_served_within_the_block_only(root: Path) -> None:
    """By the registry that everything asks, `start_run` included; an error in the block changes nothing of that."""
    before = dict(installed().backends)
    with pytest.raises(KeyError, match="of the block"), with_backend(BACKEND) as plugins:
        assert plugins is installed()
        assert plugins.backend("recording") is BACKEND
        run = unitrack.start_run("a", sinks=["recording"], delivery="inline")
        assert run.finish().ok
        raise KeyError("of the block")
    assert dict(installed().backends) == before
    with pytest.raises(unitrack.ConfigError, match="unknown sink 'recording'"):
        unitrack.start_run("b", sinks=["recording"])


def test_a_name_that_is_taken_is_refused_and_stays() -> None:
    local = installed().backend("local")
    with (
        pytest.raises(unitrack.ConfigError, match="'local' is already served"),
        with_backend(Backend(name="local", summary="another", sink="x:Y")),
    ):
        pass
    assert installed().backend("local") is local
