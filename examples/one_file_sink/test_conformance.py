"""The backend passes unitrack's conformance suite: `pytest` in this folder."""

import pytest
import unitrack_jsonl

from unitrack.testing import SinkConformance


class TestJsonl(SinkConformance):
    """All that the suite needs to know."""

    plugin = unitrack_jsonl

    @pytest.fixture
    def sink_options(self, tmp_path):
        """Where this test's runs go."""
        return {"folder": str(tmp_path / "jsonl")}
