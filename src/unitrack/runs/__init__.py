"""Reading: the runs that a backend holds, whatever it is and whoever wrote them.

A location names the backend and the place: `mlflow:sqlite:///mlflow.db`. Its source, which the backend's plugin brings,
gives records; here they become runs to look at. Nothing is written, and no SDK is imported but by the source.
"""

from unitrack.runs.errors import NotFoundError, SourceError
from unitrack.runs.listing import Runs, runs
from unitrack.runs.stored_run import Point, StoredRun
from unitrack.runs.summary import MetricSummary

__all__ = ["MetricSummary", "NotFoundError", "Point", "Runs", "SourceError", "StoredRun", "runs"]
