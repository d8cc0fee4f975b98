"""TensorBoard passes the conformance suite, with runs that share a logdir."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import unitrack_tensorboard
from unitrack.testing import SinkConformance


class TestTensorBoard(SinkConformance):
    plugin = unitrack_tensorboard

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"logdir": str(tmp_path / "logdir")}
