"""TensorBoard passes the conformance suite, with runs that share a logdir."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import unitrack_tensorboard
from unitrack.testing import SinkConformance, Trial, in_the_way


class TestTensorBoard(SinkConformance):
    plugin = unitrack_tensorboard

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"logdir": str(tmp_path / "logdir")}

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        return in_the_way(Path(trial.spec.options["logdir"]), by="file")
