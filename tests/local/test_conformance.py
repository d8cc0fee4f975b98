"""The local backend passes the conformance suite."""

from contextlib import AbstractContextManager

from unitrack import local
from unitrack.testing import SinkConformance, Trial, in_the_way


class TestLocal(SinkConformance):
    """Plain files in the run folder."""

    plugin = local

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        """`metadata.json` can't be written."""
        return in_the_way(trial.folder.path / "metadata.json", by="folder")
