"""Which sinks write to a server that other machines use as well: a crowd opens those one after the other."""

from __future__ import annotations

from typing import Any

import pytest

from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed


@pytest.mark.parametrize(
    ("backend", "options", "shared"),
    [
        ("local", {}, False),
        ("tensorboard", {}, False),
        ("mlflow", {"tracking_uri": "http://mlflow:5000"}, True),
        ("mlflow", {"tracking_uri": "postgresql://me@db/mlflow"}, True),
        ("mlflow", {"tracking_uri": "sqlite:///mlflow.db"}, False),
        ("mlflow", {"tracking_uri": "mlruns"}, False),
        ("wandb", {"mode": "online"}, True),
        ("wandb", {"mode": "offline"}, False),
        ("sql", {"url": "postgresql://me@db/runs"}, True),
        ("sql", {"url": "sqlite:///runs.db"}, False),
    ],
)
def test_what_is_shared(backend: str, options: dict[str, Any], shared: bool) -> None:
    if backend != "local":
        pytest.importorskip(f"unitrack_{backend}")
    assert make_lane(backend, installed().backend(backend), options).is_shared == shared
