"""W&B passes the conformance suite offline: what `wandb sync` would upload is what was logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import unitrack_wandb
from unitrack.testing import SinkConformance


class TestWandb(SinkConformance):
    plugin = unitrack_wandb

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"mode": "offline"}
