"""The backend passes unitrack's conformance suite: `pytest` in this folder."""

from pathlib import Path

import pytest
import unitrack_jsonl
from msgspec import json

from unitrack.records import AnyRecord, Artifact, RunEnd
from unitrack.testing import SinkConformance


class TestJsonl(SinkConformance):
    """A backend without a source says how to read a run back."""

    plugin = unitrack_jsonl

    @pytest.fixture
    def sink_options(self, tmp_path):
        """Where this test's runs go."""
        return {"folder": str(tmp_path / "jsonl")}

    def records(self, link):
        """All lines but artifacts that a later one replaced, and ends that a resume took back."""
        lines = Path(link.location, f"{link.id}.jsonl").read_bytes().splitlines()
        records = [json.decode(line, type=AnyRecord) for line in lines]
        newest = {record.name: record for record in records if isinstance(record, Artifact)}
        for record in records:
            is_old = isinstance(record, Artifact) and newest[record.name] is not record
            if not is_old and (record is records[-1] or not isinstance(record, RunEnd)):
                yield record
