"""The tags, metrics and artifacts in which unitrack keeps what MLflow itself has no place for."""

from __future__ import annotations

RUN_ID = "unitrack.run_id"
"""The run's id in unitrack: how a run is found again instead of created twice."""
PROJECT = "unitrack.project"
NAME = "unitrack.name"
"""The run's whole name, where it was too long for MLflow."""
CHANGED = "unitrack.param_changed."
"""+ param: the newest value of a param that was logged again with another value, which MLflow forbids."""
TEXT = "unitrack.text."
"""+ param (or `CHANGED` + param): the value is text, though it reads like a number, a list, None."""
PATH = "unitrack.path."
"""+ param: the names that lead to it, as JSON, where a dot in them is no nesting; see `param_paths`."""
MODEL = "unitrack.model"
"""On a logged model: the time and name of the artifact that it was made of."""
LONG = "unitrack.long."
"""+ tag: its whole value is an artifact; see `long_texts`."""
INFINITE = "unitrack.nonfinite"
"""Says, for people, where infinite points are."""
NAMES = "unitrack.names."
"""+ kind and a digest: a key and the name it stands for; see `keys`."""
STATUS = "unitrack.status"
"""How the run ended, where MLflow has no word for that."""
TAGS = (RUN_ID, PROJECT, NAME, STATUS, CHANGED, TEXT, PATH, LONG, INFINITE, NAMES)
"""How tags begin that aren't the user's."""

DESCRIPTION = "mlflow.note.content"
RUN_NAME = "mlflow.runName"
PARENT = "mlflow.parentRunId"
TABLES = "mlflow.loggedArtifacts"
"""Where MLflow looks for tables; see `logged_tables`."""
IMAGES = "mlflow.loggedImages"
"""Says that a run has images for MLflow's image view."""
MLFLOWS = (RUN_NAME, DESCRIPTION, TABLES, IMAGES)
"""Tags of MLflow's that say what a record says otherwise."""

INFINITY = "unitrack.inf/"
"""+ metric: 1 where the metric was inf, -1 where it was -inf. MLflow would store 1.797e308 as if it were a value."""
INFINITY_NOTE = f"points at infinity are in the metrics {INFINITY}<metric>: 1 stands for inf, -1 for -inf"

PARAM_FILES = "unitrack/params/"
CHANGED_FILES = "unitrack/params_changed/"
TAG_FILES = "unitrack/tags/"
INDEX_FILES = "unitrack/index/"
"""See `artifact_index`."""
ARTIFACTS = (PARAM_FILES, CHANGED_FILES, TAG_FILES, INDEX_FILES)
"""Where artifacts lie that aren't the user's."""
