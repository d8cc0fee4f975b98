"""The trackio backend passes the conformance suite."""

from __future__ import annotations

import unitrack_trackio
from unitrack.testing import SinkConformance


class TestSink(SinkConformance):
    """Rows and config in a local project."""

    plugin = unitrack_trackio
