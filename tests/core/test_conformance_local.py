"""The local backend passes the conformance suite."""

from unitrack import local
from unitrack.testing import SinkConformance


class TestLocal(SinkConformance):
    """Plain files in the run folder."""

    plugin = local
