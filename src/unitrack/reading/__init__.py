"""The read side's door: the runs that a backend holds, written by unitrack or by another program.

A location names the backend and the place: `mlflow:sqlite:///mlflow.db`. The backend's plugin brings a source, which
gives records; here they become runs to look at. Nothing is written, and only the source imports an SDK.
"""

from unitrack.hookspecs import MetricSummary
from unitrack.reading.history import History, Point
from unitrack.reading.listing import Runs, runs
from unitrack.reading.stored_run import StoredRun

__all__ = [
    "History",
    "MetricSummary",
    "Point",
    "Runs",
    "StoredRun",
    "runs",
]
