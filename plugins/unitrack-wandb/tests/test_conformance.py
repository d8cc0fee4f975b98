"""W&B passes the conformance suite offline: what `wandb sync` would upload is what was logged."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import unitrack_wandb
from unitrack.testing import SinkConformance, Trial, in_the_way


class TestWandb(SinkConformance):
    plugin = unitrack_wandb

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"mode": "offline", "dir": str(tmp_path / "store")}

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        return in_the_way(Path(trial.spec.options["dir"]), by="file")
