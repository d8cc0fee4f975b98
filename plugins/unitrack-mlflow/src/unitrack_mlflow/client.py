"""A connection to a store, with MLflow set up so that it fails fast and changes nothing silently."""

from __future__ import annotations

import logging
import os

from mlflow import MlflowClient

from unitrack_mlflow import new_database
from unitrack_mlflow.stores import Store


def connect(store: Store, request_timeout: int) -> MlflowClient:
    """A client of `store`; creates the tables of a new database, which takes seconds.

    MLflow reads these settings from the environment at each request, and they hold for the whole process. The lane
    does the retrying: with MLflow's own seven retries a call blocks for minutes.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(request_timeout)
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"  # one for each file of the index that is read
    # too long a value is shortened visibly before, so one that MLflow would cut is a mistake to be told of
    os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] = "false"
    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)  # what it says of tables is no news to a user
    if store.is_folder:
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    elif store.path is not None:
        new_database.ensure(store.path)
    return MlflowClient(tracking_uri=store.uri)
