"""The trackio backend passes the conformance suite."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import unitrack_trackio
from unitrack.testing import SinkConformance, Trial, in_the_way
from unitrack_trackio.names import project_name


class TestSink(SinkConformance):
    """Rows and config in a local project."""

    plugin = unitrack_trackio

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        """The project's database can't be opened."""
        return in_the_way(Path(os.environ["TRACKIO_DIR"], f"{project_name(trial.start.project)}.db"), by="folder")
