"""MLflow's limits, from its `mlflow/utils/validation.py` and its REST API reference."""

from __future__ import annotations

METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
TAGS_PER_BATCH = 100
REQUEST_BYTES = 900_000
"""A `log-batch` request holds at most 1 MB; the rest is for its frame."""
KEY_LENGTH = 250
"""Characters of a metric's, a param's or a tag's name, and of a run's."""
PARAM_LENGTH = 6000
"""Characters of a param's value; MLflow cuts a longer one silently."""
TAG_LENGTH = 5000
"""Characters of a tag's value. MLflow's own limit is 8,000, older servers' and Databricks' 5,000."""
PATH_PART_BYTES = 255
"""Of one part of a path: the limit of common file systems, which a file store meets."""
POOL_SIZE = 10
POOL_OVERFLOW = 40
"""Connections to a database in one process: those that are kept, and those beyond. SQLAlchemy's own are 5 and 10, and
what asks for one more fails after 30 s. Lanes take turns, but `start_run` in threads and sources do not."""
RUNS_PER_PAGE = 1000
EXPERIMENTS_PER_PAGE = 1000
INDEX_PAGE = 500
"""Artifacts in one page of a run's index: 50 kB at most are written again for one more artifact."""
UPLOADS_AT_ONCE = 8
"""Small artifacts that one sink uploads at the same time: a request to a server is mostly waiting, and a session keeps
ten connections."""
DATASET_NAME = 500
DATASET_DIGEST = 36
"""Characters: half a SHA-256, which the profile holds whole."""
DATASET_SCHEMA = 65_535
"""MySQL's TEXT; other databases take a megabyte."""
